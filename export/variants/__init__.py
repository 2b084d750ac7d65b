"""TODO export/variants."""
