"""The circuit track of MIB (Mueller et al. 2025), part by part: what benchmarks/mib.py runs."""
