"""The table of score agreement, on tiny models that every peer reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import wheatstone as ws
from peers.agreement import Scores, agreement, by_group, on_the_papers_points
from peers.process import Driver

STEPS = 5
MODELS = ("tiny-gpt2", "tiny-grouped")
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "`eap`": ("eap", {}),
    "`eap` on the corrupt prompt": ("eap", {"on_corrupt": True}),
    "`eap-ig`": ("eap-ig", {"steps": STEPS}),
    "`exact`": ("exact", {}),
}
NOTES = """\
EAP-IG's scores are smaller by the number of prompts: its metric is a mean over the batch and its scores are
divided by the batch again. Its steps are k/m for k = 0 … m − 1, so that the corrupt input is among them and
the clean one is not; the paper (section 3) and Wheatstone take k = 1 … m. The row "at the paper's points"
exchanges the one for the other with EAP-IG's own scores. transformer-lens takes the gradient on the corrupt
prompt: it is compared with Wheatstone's EAP with prompt and counterfactual exchanged. auto-circuit's
`mask_gradient` at mask 0 is EAP; its integrated version moves all edges' masks together instead of the
input and adds the gradients up: another definition, shown beside EAP-IG only to say how far apart they are.
A KV group's score is the sum over the copies that a peer keeps for its query heads; for an edge that is really
ablated there is no such sum, so that row is given only where every head has its own keys and values."""


class Starts(Protocol):
    """Starts each tool on a subject; `best` with glibc's `malloc` set to keep large blocks."""

    checkout: Path | None

    def ours(self, place: Path, *, best: bool = False) -> Driver: ...
    def auto_circuit(self, place: Path, *, best: bool = False) -> Driver: ...
    def transformer_lens(self, place: Path, *, best: bool = False) -> Driver: ...
    def eap_ig(self, place: Path, *, best: bool = False) -> Driver: ...


def table(tools: Starts, place_of: Callable[[str], Path], reference: Path | None = None) -> str:
    """Markdown; the peers' scores that are defined as ours go into a folder too, if one is given."""
    rows = [
        "## Do the scores agree?",
        "",
        "Rank: Spearman's correlation over all edges of the signed scores. Factor: peer's scores over ours, by least "
        "squares. Residual: largest difference from that line, over the peer's largest score.",
        "",
        "| model | ours | peer's | edges | rank | factor | residual |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in MODELS:
        place = place_of(name)
        theirs = _peer_scores(tools, place, grouped=name == "tiny-grouped")
        with tools.ours(place) as driver:
            ours = {
                words: driver.ask(job, scores=True, **options)["scores"]
                for words, (job, options) in OURS.items()
                if any(words == compared for compared, _ in theirs.values())
            }
        for words, (compared, scores) in theirs.items():
            found = agreement(ours[compared], scores)
            rows.append(
                f"| {name} | {compared} | {words} | {found.edges} | {found.rank:.5f} | {found.factor:.4f} "
                f"| {found.residual:.0e} |"
            )
            print(rows[-1], flush=True)
        if reference:
            shutil.copytree(place, reference / name, dirs_exist_ok=True)
            same = {
                words: {"ours": compared, "scores": {edge: float(f"{score:.7g}") for edge, score in scores.items()}}
                for words, (compared, scores) in theirs.items()
                if "differs" not in words
            }
            (reference / name / "peers.json").write_text(json.dumps(same) + "\n", encoding="utf-8")
    return "\n".join([*rows, "", NOTES])


def _peer_scores(tools: Starts, place: Path, *, grouped: bool) -> dict[str, tuple[str, Scores]]:
    """By the peer's words for them: which of ours they stand beside, and the scores on our edges."""
    graph = ws.load_model(str(place)).graph

    def own(driver: Driver, job: str, **options: Any) -> Scores:
        return by_group(driver.ask(job, scores=True, **options)["scores"], graph)

    theirs: dict[str, tuple[str, Scores]] = {}
    with tools.auto_circuit(place) as peer:
        theirs["auto-circuit, mask gradient at 0"] = "`eap`", own(peer, "eap")
        words = f"auto-circuit, mask gradient at {STEPS} values (differs)"
        theirs[words] = "`eap-ig`", own(peer, "mask-ig", steps=STEPS)
    if not grouped:
        with tools.transformer_lens(place) as peer:
            theirs["transformer-lens, edge attribution"] = "`eap` on the corrupt prompt", own(peer, "eap")
    if tools.checkout:
        with tools.eap_ig(place) as peer:
            clean, corrupt = own(peer, "eap"), own(peer, "eap-ig", steps=1)
            left = own(peer, "eap-ig", steps=STEPS)
            theirs["EAP-IG, EAP"] = "`eap`", clean
            theirs[f"EAP-IG, {STEPS} steps as coded (differs)"] = "`eap-ig`", left
            moved = on_the_papers_points(left, corrupt, clean, STEPS)
            theirs[f"EAP-IG, {STEPS} steps at the paper's points"] = "`eap-ig`", moved
            if not grouped:
                theirs["EAP-IG, exact"] = "`exact`", own(peer, "exact")
    return theirs
