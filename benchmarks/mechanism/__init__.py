"""What circuits do, part by part: what benchmarks/mechanisms.py measures."""
