"""Where minimal pairs come from.  A suite is one small file with `pairs()`, and one line in the registry."""

from ontogeny.suites.contrast import contrast, contrast_of, distinct, grams, grams_of, held_out

__all__ = ["contrast", "contrast_of", "distinct", "grams", "grams_of", "held_out"]
