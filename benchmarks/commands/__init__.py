"""The commands: each adds its parser and calls one function; `artefact_id.py` gathers them."""
