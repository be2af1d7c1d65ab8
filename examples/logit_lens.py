"""After which layer is the answer the model's first choice, and who writes it: `python examples/logit_lens.py`."""

import wheatstone as ws

model = ws.load_model("smollm2-135m")
run = model("The official language of France is")
print(ws.run_lens(run, " French", top=3))
for row in ws.run_lens(run, " French").rows[-5:]:
    print(f"layer {row.layer:2}: rank {row.rank:4,}, p = {row.probability:.3f}, first choice {row.top!r}")
print(ws.logit_attribution(run, " French", " Japanese"))
