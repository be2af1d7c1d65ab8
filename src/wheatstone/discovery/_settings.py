"""What a discovery is asked for, as one value: what a run writes down and a report repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, get_args

from wheatstone._bounds import COUNT, EFFECT, SAMPLES, SEED, SHARE
from wheatstone._effects import BOTH_WAYS
from wheatstone._errors import RequestError, check_choice
from wheatstone._text import count

if TYPE_CHECKING:
    from wheatstone.circuits import Experiment
    from wheatstone.models import ResidualModel
    from wheatstone.tasks import PromptPair

LEARNED = "learned"
"""The method for a task: learned on its training prompts, its size chosen on its validation prompts."""
SEARCHES = ("verified", "re-ranked", "acdc", LEARNED)
"""Methods that decide by runs; every other method takes a ranking as it is."""


@dataclass(frozen=True)
class DiscoverySettings:
    """What to look for and how. The options of `wheatstone discover` are made from these fields, so nothing here loads
    torch before it is checked.

    Args:
        faithfulness: share of the metric's change that the circuit must keep, above 0, at most 1; it may be exceeded by
            as much as it may be missed.
        method: `verified` searches with exact runs; `re-ranked` stops before it goes through single edges: a part of
            the cost, and no proof that each is necessary; `acdc` is the published algorithm; the name of a scoring
            method takes the smallest circuit of its ranking that reaches the goal, and prunes nothing.
        ranking: scoring method that verified starts from, and that curves and tables show next to acdc.
        steps: steps of the scoring method; its own by default (eap-ig, ceap: 5; gim, relp: 1).
        goal: sufficient: the circuit alone keeps the metric. complete: without it the metric is gone.
        both_ways: prove the circuit on the prompts and, separately, on each prompt swapped with its counterfactual;
            needs distractors.
        granularity: what is removed at once: channels (single edges); heads (the edges into a head's q, k and v, with
            grouped-query attention into a whole KV group's); groups (a KV group's heads write as one too).
        positions: distinguish edges by where they carry something: spans (subject, relation, last …) or each (token).
        threshold: of acdc, in the metric's units: an edge whose removal changes it by less goes.
        sign: of acdc: abs keeps every edge that matters; signed, as in the paper's code, drops an edge unless its
            removal makes the metric worse.
        stable: number of bootstrap samples of the prompts to search in; edges that recur are kept. 0 searches once.
        ablation: what edges outside the circuit carry: counterfactual, mean or zero.
        metric: `logit_diff` (logits), `prob_diff` (probability) or `kl` (nats).
        share: of learned: most edges of a circuit, as a share of all.
        counterfactuals: of a task: most counterfactuals of a prompt, to learn with and to be evaluated on.
        task: name to write into the circuit.
        seed: of everything that is drawn: random circuits, bootstrap samples, seeded methods.
        allow_weak: whether to go on where the model itself does not give the answers, or ablation changes little; None
            records the former and refuses the latter. See `Experiment`.
    """

    faithfulness: Annotated[float, SHARE] = 0.9
    method: str = "verified"
    ranking: str = "eap-ig"
    steps: Annotated[int, COUNT] | None = None
    goal: str = "sufficient"
    both_ways: bool = False
    granularity: str = "channels"
    positions: str | None = None
    threshold: Annotated[float, EFFECT] | None = None
    sign: str = "abs"
    stable: Annotated[int, SAMPLES] = 0
    ablation: str = "counterfactual"
    metric: str = "logit_diff"
    share: Annotated[float, SHARE] = 0.03
    counterfactuals: Annotated[int, COUNT] = 4
    task: str = ""
    seed: Annotated[int, SEED] = 0
    allow_weak: bool | None = None

    @property
    def scored_by(self) -> str:
        """The scoring method that all edges are ranked by."""
        return self.ranking if self.method in SEARCHES else self.method

    @property
    def aim(self) -> str:
        """What a circuit is said to be for: the goal, or `both-ways`."""
        return BOTH_WAYS if self.both_ways else self.goal

    @property
    def learnable(self) -> bool:
        """Whether the other settings are those that the method `learned` knows."""
        plain = ("counterfactual", "channels", "sufficient", False, None, 0)
        return (self.ablation, self.granularity, self.goal, self.both_ways, self.positions, self.stable) == plain

    def check(self) -> None:
        """Refuses what can be refused before any model is loaded.

        Raises:
            RequestError: a name that is not known, a goal out of range, or options that do not go together.
        """
        self._check_names()
        if not 0 < self.faithfulness <= 1:
            raise RequestError(
                expected="a faithfulness above 0 and at most 1",
                got=str(self.faithfulness),
                do="0.9 keeps nine tenths of the metric's change",
            )
        if (self.method == "acdc") != (self.threshold is not None):
            raise RequestError(
                expected="a threshold for acdc, and for no other method",
                got=f"method {self.method} and threshold {self.threshold}",
                do="give --threshold with --method acdc, or --faithfulness with the others",
            )
        if self.threshold is not None and not self.threshold > 0:
            raise RequestError(
                expected="a threshold above 0, in units of the metric", got=str(self.threshold), do="try 0.05"
            )
        if self.method == "acdc" and (self.granularity, self.goal, self.positions) != ("channels", "sufficient", None):
            raise RequestError(
                expected="channels, no positions and the goal sufficient, which are all that acdc knows",
                got=f"{self.granularity}, positions {self.positions} and {self.goal}",
                do="use --method verified",
            )
        if self.both_ways and (self.goal != "sufficient" or self.method in ("acdc", LEARNED) or self.stable):
            raise RequestError(
                expected=f"the goal sufficient without samples, and another method than acdc and {LEARNED}, to prove a "
                "circuit both ways",
                got=f"--both-ways with --goal {self.goal}, --method {self.method}, --stable {self.stable}",
                do="use --method verified, or leave --both-ways out; a task's circuit is learned with its "
                "counterfactuals as prompts too",
            )
        if self.method == LEARNED and not self.learnable:
            raise RequestError(
                expected="counterfactual ablation of single edges at all positions and the goal sufficient, which are "
                f"all that {LEARNED} knows",
                got=f"{self.ablation} ablation, {self.granularity}, positions {self.positions}, {self.goal}, "
                f"--stable {self.stable}",
                do="use --method verified",
            )
        if not 0 < self.share <= 1 or self.counterfactuals < 1:
            raise RequestError(
                expected="a share above 0 and at most 1, and at least one counterfactual",
                got=f"--share {self.share}, --counterfactuals {self.counterfactuals}",
                do="use --share 0.03 --counterfactuals 4",
            )
        SEED.check("a seed", self.seed)
        SAMPLES.check("a number of bootstrap samples", self.stable)
        if self.stable == 1:
            raise RequestError(
                expected="at least 2 bootstrap samples to compare",
                got=str(self.stable),
                do="use --stable 10, or leave it out",
            )

    def _check_names(self) -> None:
        from wheatstone.circuits import ABLATIONS, POSITIONS
        from wheatstone.discovery._acdc import Keep
        from wheatstone.discovery._goal import GOALS
        from wheatstone.discovery._scores import method_named
        from wheatstone.discovery._units import GRANULARITIES
        from wheatstone.tasks import METRICS

        if self.method not in SEARCHES:
            method_named(self.method)
        method_named(self.ranking)
        check_choice("a goal", self.goal, GOALS)
        check_choice("a granularity", self.granularity, GRANULARITIES)
        check_choice("positions", self.positions, POSITIONS)
        check_choice("a sign", self.sign, get_args(Keep))
        check_choice("an ablation", self.ablation, ABLATIONS)
        check_choice("a metric", self.metric, METRICS)
        COUNT.check("a number of integration steps", self.steps)

    def experiment(self, model: ResidualModel, pairs: Sequence[PromptPair]) -> Experiment:
        """The experiment that these settings ask for; refuses everything that can be refused before the search.

        Args:
            model: the model.
            pairs: the prompts.

        Raises:
            PromptError: the prompts cannot be compared, or leave nothing to explain.
            RequestError: as `check`, or the prompts lack what an option needs.
        """
        from wheatstone.circuits import Experiment
        from wheatstone.discovery._scores import check_positions

        self.check()
        if self.stable and len(pairs) < 2:
            raise RequestError(
                expected="at least 2 prompts and 2 samples, for samples to differ",
                got=f"{count(len(pairs), 'prompt')} and {count(self.stable, 'sample')}",
                do="give more prompts",
            )
        experiment = Experiment(
            model,
            pairs,
            ablation=self.ablation,
            metric=self.metric,
            positions=self.positions,
            allow_weak=self.allow_weak,
        )
        check_positions(experiment, self.scored_by)
        return experiment
