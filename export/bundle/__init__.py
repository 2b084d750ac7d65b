"""Writing the bundle: model card, recommendation, ship limits, signature."""
