"""The neuron that writes " an", found from the weights and tested on a prompt: `python examples/an_neuron.py`."""

import wheatstone as ws
from wheatstone.neurons import Congruence, token_of, writers_of

model = ws.load_model("smollm2-135m")
writers = writers_of(Congruence(model), token_of(model, " an"), most=5)
for row in writers:
    print(f"{row.neuron:<10} write {row.write:+6.2f}  z {row.z:4.1f}  rank of ' an' {row.rank}")

prompt = "I climbed up the pear tree and picked a pear. I climbed up the apple tree and picked"
print(f"p( an) = {float(model(prompt, cache=False).probability(' an')):.3f}")
for row in writers:
    without = model.ablate(prompt, row.neuron, cache=False)
    print(f"without {row.neuron}: p( an) = {float(without.probability(' an')):.3f}")
