"""Jobs from start to end: `benchmark`, `sweep`, `demo`, `identify` and `doctor`."""
