"""TODO artefact_id."""
