"""Which heads of the late layers carry the answer, by activation patching: `python examples/patch_heads.py`."""

import wheatstone as ws

model = ws.load_model("smollm2-135m")
france, japan = "The official language of France is", "The official language of Japan is"


def difference(run: ws.ModelRun) -> float:
    """logit(French) − logit(Japanese)."""
    return float(run.logit(" French") - run.logit(" Japanese"))


source, clean, corrupt = model(france), difference(model(france)), difference(model(japan))
effects = {
    f"a{layer}.h{head}": (difference(model.patch(japan, source, f"a{layer}.h{head}", cache=False)) - corrupt)
    / (clean - corrupt)
    for layer in range(22, 26)
    for head in range(model.graph.heads)
}
for head, effect in sorted(effects.items(), key=lambda item: -abs(item[1]))[:6]:
    print(f"{head}: {effect:+.1%} of the difference comes back")
