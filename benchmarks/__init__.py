"""Measuring exported variants against the full-precision model, and telling what was found."""
