"""The trained network, folded for export, and its graph."""
