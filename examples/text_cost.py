"""What a text costs the model in bits, token by token: `python examples/text_cost.py`."""

import wheatstone as ws
from wheatstone.compression import bits

text = "The official language of France is French, and its capital is Paris."
cost = bits(ws.load_model("smollm2-135m"), text)
for token, surprise in zip(cost.tokens, cost.surprise, strict=True):
    print(f"{surprise:6.2f} bits  {token!r}")
print(f"{sum(cost.surprise) / 8:.0f} bytes of {cost.bytes}; other compressors: {cost.beside}")
