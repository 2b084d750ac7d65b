"""TODO export/bundle."""
