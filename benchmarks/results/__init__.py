"""The format of results, and the statistics that they are made with."""
