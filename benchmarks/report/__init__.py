"""TODO benchmarks/report."""
