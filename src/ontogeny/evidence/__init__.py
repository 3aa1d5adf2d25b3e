"""What n-grams say of a network's trajectories and what foretells its verdicts; and what instruments say of a whole run at once."""
