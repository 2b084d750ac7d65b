"""Which object a photo shows: the gallery of a bundle, the score, the decision.

It needs a model's embeddings and numpy, and executes no model.
"""
