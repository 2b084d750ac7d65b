"""Quantisation in torch: calibration, ranges, rounding of weights with error compensation."""
