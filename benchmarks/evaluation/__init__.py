"""Accuracy tables and figures of one run or an ensemble of runs."""
