"""How tokens, numbers and settings are written for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wheatstone._text import count as count
from wheatstone.figures._load import RunData

METRICS = {
    "logit_diff": "logit difference",
    "prob_diff": "probability difference",
    "kl": "KL divergence",
}


def warnings_of(about: Mapping[str, Any]) -> list[str]:
    """What a headline must say of the model's own answers; nothing for a run that does not record them.

    Args:
        about: a manifest or a summary that may have `model_answers`.
    """
    return list((about.get("model_answers") or {}).get("warnings", ()))


def own_answer(about: Mapping[str, Any]) -> list[str]:
    """What the model itself says, as a sentence, where no warning says it."""
    answers = about.get("model_answers") or {}
    return [answers["summary"]] if answers and not answers["weak"] else []


def visible(token: str) -> str:
    """A token with its blanks to be seen: `·` for a leading space, `⏎` for a newline, `⇥` for a tab."""
    text = token.replace("\r", "").replace("\n", "⏎").replace("\t", "⇥")
    blanks = len(text) - len(text.lstrip(" "))
    return "·" * blanks + text[blanks:] or "∅"


def clipped(text: str, most: int) -> str:
    """Text on one line; where it is longer than `most` characters, its last words (a prompt is read from its end)."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    tail = line[len(line) - most + 2 :]
    return f"… {tail.split(' ', 1)[-1]}"


def quoted(text: str, most: int = 60) -> str:
    """Text in quotation marks, without outer blanks."""
    return f"“{clipped(text, most)}”"


def percent(share: float) -> str:
    """A share as a percentage, to two digits below 10%: `2.1%`, `92%`, `−3.0%`, `0.003%`; never `−0.00%`."""
    size = abs(share) * 100
    digits = 0 if size >= 10 else 1 if size >= 1 else 2 if size >= 0.01 else 3
    if size < 0.001:
        return "<0.001%" if share > 1e-9 else "0%"
    return f"{share * 100:.{digits}f}%".replace("-", "−")


def meaningful(share: float) -> bool:
    """Whether a share of a whole means something: between nothing and all.

    Parts that pull against each other may each exceed their sum: "−789% and 883%" of it says nothing.
    """
    return 0 <= share <= 1


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, as something that is added: `+1.20`, `−0.31`, `0.00`."""
    text = decimal(value, digits)
    return f"+{text}" if value > 0 and float(f"{value:.{digits}f}") else text


def decimal(value: float, digits: int = 2) -> str:
    """A number with a proper minus sign; never `−0.00`."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def probability(value: float) -> str:
    """A probability to two decimals, or to its first digit where these would hide it: `0.57`, `0.0007`."""
    if 0 < value < 0.0001:
        return "<0.0001"
    return decimal(value) if value >= 0.005 or value == 0 else decimal(value, 3 if value >= 0.001 else 4)


def metric_name(run: RunData) -> str:
    """The metric, spelled out."""
    name = str(run.manifest["settings"]["metric"])
    return METRICS.get(name, name)


def comparison(run: RunData) -> str:
    """What the metric compares: `logit difference, “French” against “Japanese”`."""
    prompts = run.manifest["prompts"]
    first = prompts[0]
    if len(prompts) > 1 or run.manifest["settings"]["metric"] == "kl":
        return metric_name(run)
    against = f" against {quoted(first['distractors'][0])}" if first["distractors"] else ""
    return f"{metric_name(run)}, {quoted(first['answers'][0])}{against}"


def size(run: RunData) -> str:
    """`15 of 70,651 edges (0.02%)`; `15 edges` where it was never run."""
    if not run.circuit.get("evaluation"):
        return count(len(run.edges), "edge")
    kept, total = len(run.edges), run.total_edges
    return f"{kept:,} of {count(total, 'edge')} ({percent(kept / total)})"


def ablation_sentence(run: RunData) -> str:
    """What the edges outside the circuit carry."""
    settings, prompts = run.manifest["settings"], run.manifest["prompts"]
    if settings["ablation"] == "zero":
        return "Every other edge carries nothing (zero ablation)."
    if settings["ablation"] == "mean":
        return "Every other edge carries its mean over the counterfactual prompts (mean ablation)."
    if settings["ablation"] != "counterfactual":
        return f"Every other edge is ablated ({settings['ablation']} ablation)."
    other = quoted(prompts[0]["counterfactual"]) if len(prompts) == 1 else "the counterfactual prompt"
    return f"Every other edge carries what it carries on {other} (counterfactual ablation)."


def sample(run: RunData) -> str:
    """`n = 1 prompt`."""
    return f"n = {count(int(run.verification['n']), 'prompt')}"
