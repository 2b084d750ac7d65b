"""TODO export/qat."""
