"""TODO benchmarks/runtimes/mediapipe_tasks."""
