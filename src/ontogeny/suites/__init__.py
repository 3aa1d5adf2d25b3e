"""Where minimal pairs come from.  A suite is one small file with `pairs()`, and one line in the registry."""

from ontogeny.suites.contrast import contrast, distinct

__all__ = ["contrast", "distinct"]
