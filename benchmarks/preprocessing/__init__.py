"""TODO benchmarks/preprocessing."""
