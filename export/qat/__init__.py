"""Quantisation-aware fine-tuning of a run for its integer variants."""
