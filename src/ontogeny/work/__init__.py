"""Pieces of work, and who does them."""
