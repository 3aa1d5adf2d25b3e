"""Micro-English: a small generated English whose grammar is known, and whose bigrams can be made to mislead."""

from ontogeny.corpora.micro_english.corpus import MicroEnglish, rates, repetitive
from ontogeny.corpora.micro_english.grammar import Grammar
from ontogeny.corpora.micro_english.language import micro_english
from ontogeny.corpora.micro_english.paradigms import paradigms
from ontogeny.corpora.micro_english.recognition import Recogniser, diagnose, parse
from ontogeny.corpora.micro_english.spelling import spell

__all__ = [
    "Grammar",
    "MicroEnglish",
    "Recogniser",
    "diagnose",
    "micro_english",
    "paradigms",
    "parse",
    "rates",
    "repetitive",
    "spell",
]
