"""TODO export/quantise."""
