"""TODO benchmarks/results."""
