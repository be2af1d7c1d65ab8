"""Prompts that several tests use: a module of its own, for `conftest` is the name of several files."""

from wheatstone.tasks import PromptPair

FRANCE = PromptPair(
    prompt="The official language of France is",
    counterfactual="The official language of Japan is",
    answers=(" French",),
    distractors=(" Japanese",),
)
