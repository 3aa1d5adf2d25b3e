"""Micro-English: a small generated English whose grammar is known, and whose bigrams can be made to mislead."""

from ontogeny.corpora.micro_english.corpus import MicroEnglish, repetitive
from ontogeny.corpora.micro_english.grammar import Grammar
from ontogeny.corpora.micro_english.language import micro_english
from ontogeny.corpora.micro_english.spelling import spell

__all__ = ["Grammar", "MicroEnglish", "micro_english", "repetitive", "spell"]
