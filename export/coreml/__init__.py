"""TODO export/coreml."""
