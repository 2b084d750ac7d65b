"""The exported forms of a network, each written and checked by a class of its own."""
