"""Measuring a bundle: answers of every variant, latency, memory, and the rows made of them."""
