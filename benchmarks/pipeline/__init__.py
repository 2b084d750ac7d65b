"""TODO benchmarks/pipeline."""
