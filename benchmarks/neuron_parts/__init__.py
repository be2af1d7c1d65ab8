"""What single neurons do, part by part: what benchmarks/neurons.py measures."""
