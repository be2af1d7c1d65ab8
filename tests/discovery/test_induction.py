"""A model trained to repeat sequences: its heads play the roles that are known, and the search finds their edges."""

from __future__ import annotations

import torch
from induction import InductionModel

from wheatstone.circuits import Experiment
from wheatstone.discovery import DiscoverySettings, discover_in
from wheatstone.tasks import hits


def test_it_repeats_sequences_it_never_saw(induction: InductionModel) -> None:
    experiment = Experiment(induction.model, induction.pairs(128, seed=1))
    assert float(hits(experiment.clean_logits, experiment.encoded, 1).mean()) > 0.95


def test_its_mlps_write_nothing(induction: InductionModel) -> None:
    model = induction.model
    nodes = model.forward(model.tokens([pair.prompt for pair in induction.pairs(4)]), cache=True).nodes
    assert nodes is not None
    mlps = [index for name, index in model.graph.node_index.items() if name[0] == "m"]
    assert len(mlps) == 2
    assert not nodes[mlps].any()


def test_attention_shows_who_plays_which_role(induction: InductionModel) -> None:
    assert induction.roles() == (("a0.h0",), ("a1.h0",))
    assert induction.edges() == {
        "input->a0.g0<v>",
        "a0.h0->a1.g0<k>",
        "input->a1.h0<q>",
        "input->a1.g0<v>",
        "a1.h0->logits",
    }


def test_without_the_previous_token_in_its_keys_the_answer_is_lost(induction: InductionModel) -> None:
    experiment = Experiment(induction.model, induction.pairs(64))
    keep = torch.from_numpy(experiment.graph.valid).clone()
    keep[experiment.graph.edge("a0.h0", "a1.g0<k>")] = False
    logits = experiment.logits(keep[None])[0]
    assert float(hits(logits, experiment.encoded, 1).mean()) < 0.3


def test_verified_search_keeps_the_mechanism(induction: InductionModel) -> None:
    experiment = Experiment(induction.model, induction.pairs(64))
    found = discover_in(experiment, DiscoverySettings(faithfulness=0.9), curve=False)
    assert induction.edges() <= {str(edge) for edge in found.circuit}
