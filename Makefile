# `make demo` and `make test` are all that a newcomer needs; both build the environment first.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test slow check clean help
help:
	@echo "make demo   build the environment, run the whole job on a generated register"
	@echo "make test   build what is missing, run the tests"
	@echo "make slow   run the slow tests too"
	@echo "make check  format, lint and type-check"

demo: $(VENV)/installed
	$(BIN)/artefact-id demo --out demo --force

test: $(VENV)/installed
	$(BIN)/python -m pytest -m "not slow"

slow: $(VENV)/installed
	$(BIN)/python -m pytest

check: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo build *.egg-info

# The stamp is written last, so an installation that was broken off is taken up again.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "artefact-id needs Python 3.11 or later; give one with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
