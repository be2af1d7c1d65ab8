"""Steer what the model writes with one vector of its residual stream: `python examples/steer.py`."""

import wheatstone as ws

model = ws.load_model("smollm2-135m")
prompt, other = "The official language of France is", "The official language of Japan is"
vector = (model(other)["r5.post"] - model(prompt)["r5.post"])[0, 4]  # at " France" and " Japan"
for scale in (0.0, 1.0, 2.0):
    run = model.steer(prompt, vector, "r5.post", scale=scale, positions=" France")
    best = run.top(1).rows[0]
    japanese = float(run.probability(" Japanese"))
    print(f"{scale:.0f} x: {best.token!r} {best.probability:.2f}, p( Japanese) = {japanese:.3f}")
print(model.generate(prompt, new=8, interventions=[ws.Add(at="r5.post", value=vector, positions=" France")]))
