"""TODO benchmarks/runtimes/arm64."""
