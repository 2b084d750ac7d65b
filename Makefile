# `make demo` and `make test` are all that a newcomer needs; each installs what it needs first.
PYTHON ?= python3
VENV ?= .venv
# Where to take torch from first, such as the index of its builds without CUDA; empty for pip's own.
TORCH_INDEX ?=
JOBS ?= 2
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-all fuzz check audit clean help
help:
	@echo "make demo      install, then the whole job on a generated register, start to report: 6 minutes"
	@echo "make test      install the rest, then the default tests: 4 minutes"
	@echo "make test-all  every test, the slow ones too: half an hour"
	@echo "make fuzz      damaged inputs without end, or N=1000 of each kind"
	@echo "make check     format, lint and type-check"
	@echo "make audit     licences of what each extra installs, and known weaknesses (needs the network)"
	@echo "make clean     delete the environment and the demo"
	@echo
	@echo "Times are of 2 processor cores, without the installation. Variables: PYTHON=python3.11,"
	@echo "VENV=.venv, JOBS=2 (tests side by side), TORCH_INDEX=URL (of torch's builds without CUDA,"
	@echo "which saves 4 GB)."

demo: $(VENV)/demo-installed
	$(BIN)/artefact-id demo --out demo --force

test: $(VENV)/dev-installed
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow"

test-all: $(VENV)/dev-installed
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

fuzz: $(VENV)/dev-installed
	$(BIN)/python tests/fuzz $(if $(N),--cases $(N))

check: $(VENV)/dev-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

audit: $(VENV)/dev-installed
	$(PIP) -e '.[audit]'
	$(BIN)/python tests/audit.py

clean:
	rm -rf $(VENV) demo build *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "artefact-id needs Python 3.11 or later; give one with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# A stamp is written last, so an installation that was broken off is taken up again.
$(VENV)/demo-installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the demo needs into $(VENV): 7 GB on disk on Linux, 4 GB of them torch's CUDA"
	@echo "libraries. With TORCH_INDEX=URL of torch's builds without CUDA it is 3 GB."
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch torchvision)
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/dev-installed: $(VENV)/demo-installed
	@echo "Installing what the tests need beside it: 0.5 GB."
	$(PIP) -e '.[dev]'
	touch $@
