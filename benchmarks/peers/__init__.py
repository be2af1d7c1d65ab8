"""Side-by-side timings and score agreement with peers; `benchmarks/peers.py` is the command.

A peer lives in its own virtual environment (`environments.py`) and is driven there by a script `drive_*.py` that serves
jobs over standard input and output (`worker.py`), so that this process never imports it.
"""
