"""What n-grams say about a network's trajectories: reliance, distance, and what foretells its verdicts."""
