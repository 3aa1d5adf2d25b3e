"""Log-probabilities of sentences: the plan of what must be computed, and the engines that compute it."""
