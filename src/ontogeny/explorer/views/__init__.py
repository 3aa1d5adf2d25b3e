"""The views: from a run's folder to what a template shows, a function each."""
