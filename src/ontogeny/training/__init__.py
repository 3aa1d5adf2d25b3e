"""The loop on one screen, the checkpoint schedule, and data order as a pure function of (seed, step)."""
