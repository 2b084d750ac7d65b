"""Runs the command line: `python -m artefact_id`, which torchrun needs."""

import sys

from artefact_id.main import main

if __name__ == "__main__":
    sys.exit(main())
