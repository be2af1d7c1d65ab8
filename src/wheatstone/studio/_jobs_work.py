"""The work itself, as the verbs of the command line do it; in the worker's process alone, for it needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheatstone._errors import ComputationError, RequestError
from wheatstone._progress import Reporter
from wheatstone._side import EXPLANATION, LISTING
from wheatstone.circuits import Circuit, Experiment, open_foreign, same_weights
from wheatstone.figures import render_explanation, report_html
from wheatstone.graphs import from_circuit_tracer
from wheatstone.lenses import attention_scores
from wheatstone.models import Neuron, ResidualModel, load_model
from wheatstone.neurons import Scan, neuron_facts, scan_evidence
from wheatstone.runs import Run, listed, new_run, reserved, sound
from wheatstone.studies import (
    ExplainSettings,
    add_explanation,
    add_verification,
    explain_run,
    plan_discovery,
    run_import,
    write_discovery,
)
from wheatstone.studio._jobs_changes import Report, Subject, circuit_subject, generated, graph_subject, intervened
from wheatstone.studio._jobs_schema import (
    Ask,
    CalibratedBin,
    Changed,
    Discover,
    Explain,
    Generate,
    Generated,
    Import,
    Intervene,
    InText,
    JobRequest,
    Look,
    Looked,
    LookUp,
    Measure,
    Measured,
    PairAdds,
    Passage,
    SenderAdds,
    Verify,
)
from wheatstone.studio._jobs_search import asked_of, prompt_pair, search_of
from wheatstone.tasks import PromptPair
from wheatstone.verification import verify, verify_nodes

_SHOWN = ("lens", "attribution", "attention", "vocabulary")
"""Sections of `explain` that the app shows; a new run has them at once."""

_SENDERS, _PAIRS, _REMOVED = 2_000, 12, 3
"""Of an attention score: most senders and pairs that are sent, and pairs that are removed together."""


class Work:
    """Does one job after the other, and keeps the last model for the next."""

    def __init__(self) -> None:
        self._model: tuple[str, ResidualModel] | None = None
        self._measured: tuple[Any, Experiment] | None = None
        """That of the selection measured last, and of what: the next one is usually of the same run."""

    def do(
        self, request: JobRequest, folder: Path, report: Report, *, again: bool = False, sent: Path | None = None
    ) -> dict[str, Any]:
        """Does a job.

        Args:
            request: what is asked for.
            folder: of the run: to be made by `discover`, there already for the others.
            report: progress callback.
            again: whether a run that is in the folder is an earlier one of the same job, which `discover` replaces.
            sent: the file that an import reads.

        Returns:
            What the job's last event holds beside its state.
        """
        report("starting", 0, None)
        match request:
            case Discover():
                self._discover(request, folder, report, again=again)
            case Import():
                assert sent
                self._import(request, sent, folder, report, again=again)
            case Ask():
                search = search_of(request, lambda name: self._load(name, report), report)
                answers, cost = asked_of(search, cost=request.cost, report=report)
                return {"answers": answers, "cost": cost}
            case Verify():
                self._verify(request, folder, report)
            case Explain():
                self._explain(request, folder, report)
            case Intervene():
                return {"changed": self._intervene(request, folder, report)}
            case Generate():
                return {"generated": self._generate(request, folder, report)}
            case Measure():
                return {"measured": self._measure(request, folder, report)}
            case Look():
                return {"looked": self._look(request, folder, report)}
            case LookUp():
                return {"in_text": self._look_up(request, folder, report)}
        return {}

    def _load(self, name: str, report: Reporter) -> ResidualModel:
        if self._model is None or self._model[0] != name:
            self._model = self._measured = None  # two would not always fit
            self._model = (name, load_model(name, report=report))
        return self._model[1]

    def _circuit(self, run: Path, report: Reporter) -> tuple[Circuit, ResidualModel]:
        circuit = Circuit.load(run)
        model = self._load(circuit.model.id, report)
        same_weights(model, circuit)
        return circuit, model

    def _experiment(self, run: Path, on: str, report: Reporter) -> tuple[Circuit, Experiment, str]:
        circuit, model = self._circuit(run, report)
        pairs, words = (circuit.examples, "own") if on == "own" else (_test_pairs(run), "test")
        of = (circuit.model, circuit.ablation, circuit.metric, circuit.spans, circuit.examples, pairs)
        if self._measured is None or self._measured[0] != of:
            report("reading the prompts", 0, None)
            self._measured = None
            self._measured = of, Experiment.of(circuit, model, pairs, allow_weak=True)
        return circuit, self._measured[1], words

    def _discover(self, asked: Discover, out: Path, report: Reporter, *, again: bool) -> None:
        with reserved(out, force=again):
            search = search_of(asked, lambda name: self._load(name, report), report)
            model = search.model
            plan_discovery(model, search.pairs, search.settings).check()

            def explain(folder: Path) -> None:
                (folder / "explain").mkdir()
                explain_run(folder, folder / "explain", ExplainSettings(_SHOWN), model=model, report=report)

            # No figures and no report: the app draws what it shows, and `export` makes them when they are wanted.
            _, missing = write_discovery(
                out,
                model,
                search.pairs,
                search.settings,
                **search.splits,
                last={EXPLANATION: explain},
                force=again,
                report=report,
            )
            _check_listed(missing, out)

    def _import(self, asked: Import, sent: Path, out: Path, report: Report, *, again: bool) -> None:
        report("reading the file", 0, None)
        form, document = open_foreign(sent, graphs=True)
        with reserved(out, force=again):
            if form.read is None:
                save = from_circuit_tracer(document).save
            elif asked.model:
                model = self._load(asked.model, report)
                imported = form.read(document, model, "counterfactual", "logit_diff")
                # Its prompts were accepted when it was found; the headline says what the model makes of them.
                save = run_import(model, imported, source=asked.name, allow_weak=True, report=report).save
            else:
                raise RequestError(
                    expected="the model that the circuit was found in", got="none", do="choose it where it is imported"
                )
            with new_run(out, force=again) as folder:
                save(folder)
            _check_listed(listed(out), out)

    def _verify(self, asked: Verify, run: Path, report: Reporter) -> None:
        circuit, model = self._circuit(run, report)
        if asked.on == "given" and asked.pair is None:
            raise RequestError(expected="a prompt pair", got="none", do="give one, or verify on its own prompts")
        pairs, words, several = circuit.examples, "the prompts it was found on", 1
        if asked.on == "given" and asked.pair:
            pairs, words = (prompt_pair(asked.pair),), "given prompts"
        elif asked.on == "test":
            pairs = _test_pairs(run)
            words, several = "test", Run.open(run).settings.get("counterfactuals", 1)
        # The run's own prompts were accepted when it was made; only other prompts are refused.
        meant = asked.allow_weak or (asked.on == "own" and Run.open(run).settings.get("allow_weak"))
        allow_weak = True if meant else False if asked.on == "given" else None
        result = verify(
            model, circuit, pairs, counterfactuals=several, split=words, allow_weak=allow_weak, report=report
        )
        add_verification(run, result, report_html, own=asked.on == "own")

    def _explain(self, asked: Explain, run: Path, report: Reporter) -> None:
        _, model = self._circuit(run, report)
        add_explanation(run, ExplainSettings(asked.only), render_explanation, model=model, report=report)

    def _measure(self, asked: Measure, run: Path, report: Reporter) -> Measured:
        circuit, experiment, words = self._experiment(run, asked.on, report)
        found = verify_nodes(experiment, circuit, asked.nodes, report=report)
        first, n = found.prompts[0], len(found.prompts)
        return Measured(
            nodes=found.nodes,
            edges=found.edges,
            n=n,
            split=words,
            alone=found.alone,
            alone_interval=found.alone_interval,
            lost=found.lost,
            lost_interval=found.lost_interval,
            probability={name: sum(one[name].probability for one in found.prompts) / n for name in first},
            top={name: reading.top for name, reading in first.items()},
        )

    def _subject(self, run: Path, prompt: int, report: Reporter) -> Subject:
        """What nodes are changed on: a prompt of a circuit's run, or that of a graph."""
        if Run.open(run).verb == "graph":
            return graph_subject(run, prompt, lambda name: self._load(name, report))
        circuit, model = self._circuit(run, report)
        return circuit_subject(circuit, model, _example(circuit, prompt))

    def _intervene(self, asked: Intervene, run: Path, report: Reporter) -> Changed:
        return intervened(self._subject(run, asked.prompt, report), asked.changes)

    def _generate(self, asked: Generate, run: Path, report: Report) -> Generated:
        return generated(self._subject(run, asked.prompt, report), asked, report)

    def _look(self, asked: Look, run: Path, report: Reporter) -> Looked:
        circuit, model = self._circuit(run, report)
        prompt = _example(circuit, asked.prompt).prompt
        found = attention_scores(model.like(circuit.model.graph), prompt, head=asked.head, query=asked.query)
        pairs = found.difference or found.pairs
        return Looked(
            head=found.head,
            query=found.query,
            key=found.key,
            weight=found.weight,
            runner_up=found.runner_up,
            runner_up_weight=None if found.runner_up is None else float(found.weights[found.runner_up]),
            difference=pairs.total,
            through_query=tuple(SenderAdds(**term._asdict()) for term in pairs.by_query()[:_SENDERS]),
            through_key=tuple(SenderAdds(**term._asdict()) for term in pairs.by_key()[:_SENDERS]),
            pairs=tuple(PairAdds(**term._asdict()) for term in pairs.top(_PAIRS)),
            dominated_by_bias=found.pairs.dominated_by_bias,
            removed=found.confirm(_REMOVED, alone=False)[-1].exact,
        )

    def _look_up(self, asked: LookUp, run: Path, report: Reporter) -> InText:
        scan = Scan.load(run)
        neuron = Neuron.named(asked.neuron)
        scan.neuron(neuron)  # one that was not scanned is refused before the model is loaded
        model = self._load(scan.manifest["model"]["id"], report)
        facts = neuron_facts(model, neuron, scan=scan, report=report)
        (row,) = scan_evidence(model, scan, [(asked.neuron, asked.value)])
        corpus, calibration = facts["corpus"], facts["corpus"]["calibration"]
        return InText(
            neuron=asked.neuron,
            **{name: getattr(row, name) for name in ("value", "below", "mean", "deviation", "least", "most")},
            passages=tuple(
                Passage(text=text, activation=strength)
                for text, strength in zip(row.passages, row.strengths, strict=True)
            ),
            counted=corpus["counted"],
            edges=corpus["histogram"]["edges"],
            counts=corpus["histogram"]["counts"],
            token=facts["token"]["text"],
            base=calibration["base"],
            calibration=tuple(
                CalibratedBin(
                    **{name: row[name] for name in ("low", "high", "corpus", "places")},
                    probability=row["probability"]["mean"],
                )
                for row in calibration["bins"]
            ),
        )


def _check_listed(missing: Mapping[str, str], out: Path) -> None:
    """Refuses to call a run done that the list of runs lacks."""
    if LISTING in missing:
        raise ComputationError(
            expected="a finished run in the list of runs",
            got=missing[LISTING],
            do=f"free some space, then list it with `wheatstone runs add {out}`; the run is kept",
        )


def _example(circuit: Circuit, number: int) -> PromptPair:
    """One of the prompts of a circuit's run."""
    if number >= len(circuit.examples):
        raise RequestError(
            expected=f"one of the run's {len(circuit.examples)} prompts", got=f"number {number}", do="choose another"
        )
    return circuit.examples[number]


def _test_pairs(run: Path) -> tuple[PromptPair, ...]:
    """The test split of a run's task."""
    with sound(run):
        return tuple(PromptPair.model_validate(pair) for pair in Run.open(run).document("task")["pairs"]["test"])
