"""In somebody else's trainer: snapshots on our schedule, written as our own training writes them, and read as those are."""
