"""Find the circuit that recalls one fact, prove it, and keep it: `python examples/first_circuit.py`."""

import wheatstone as ws

model = ws.load_model("smollm2-135m")
pair = ws.PromptPair(
    prompt="The official language of France is",
    counterfactual="The official language of Japan is",
    answers=(" French",),
    distractors=(" Japanese",),
)
circuit = ws.discover(model, [pair], faithfulness=0.9)
for edge, effect in zip(circuit.edges, circuit.effects or (), strict=True):
    print(f"{edge!s:<24} {effect:+.3f}")
circuit.save("france.json")
print(circuit)
