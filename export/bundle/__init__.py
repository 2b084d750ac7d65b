"""The bundle: from a run to its files, model card and signature, and which variant to ship."""
