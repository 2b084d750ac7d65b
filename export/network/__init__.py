"""TODO export/network."""
