"""Registers: the photos of all objects, as folders, manifests and museums' exports hold them."""
