"""What the larger commands of the command line do; Python callers have the same functions."""
