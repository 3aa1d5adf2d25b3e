"""Exact n-gram counts of a token stream, smoothed models of them, and where each n-gram occurs."""

from ontogeny.ngrams.index import ORDER, Index, build, is_whole, open_or_build
from ontogeny.ngrams.kneser_ney import KneserNey

__all__ = ["ORDER", "Index", "KneserNey", "build", "is_whole", "open_or_build"]
