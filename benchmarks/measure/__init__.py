"""TODO benchmarks/measure."""
