"""Going through many photos, as of an auction, and what of the register is among them."""
