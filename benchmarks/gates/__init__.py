"""TODO benchmarks/gates."""
