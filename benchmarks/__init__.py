"""What this package costs beside others, measured pair by pair in one run: `python -m benchmarks --help`."""
