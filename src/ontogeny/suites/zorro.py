"""Zorro: minimal pairs in words of child-directed speech, 23 paradigms of 2,000 pairs (Huebner et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from ontogeny.files import lines
from ontogeny.records import OntogenyError, Pair
from ontogeny.suites.jsonl import ParadigmFolder

# A file is called PHENOMENON-PARADIGM.txt, both parts with hyphens of their own.
PARADIGMS = {
    "agreement_determiner_noun": ("across_1_adjective", "between_neighbors"),
    "agreement_subject_verb": (
        "across_prepositional_phrase",
        "across_relative_clause",
        "in_question_with_aux",
        "in_simple_question",
    ),
    "anaphor_agreement": ("pronoun_gender",),
    "argument_structure": ("dropped_argument", "swapped_arguments", "transitive"),
    "binding": ("principle_a",),
    "case": ("subjective_pronoun",),
    "ellipsis": ("n_bar",),
    "filler-gap": ("wh_question_object", "wh_question_subject"),
    "irregular": ("verb",),
    "island-effects": ("adjunct_island", "coordinate_structure_constraint"),
    "local_attractor": ("in_question_with_aux",),
    "npi_licensing": ("matrix_question", "only_npi_licensor"),
    "quantifiers": ("existential_there", "superlative"),
}
PHENOMENON = {f"{phenomenon}-{rest}": phenomenon for phenomenon, names in PARADIGMS.items() for rest in names}


class Zorro(ParadigmFolder):
    """Zorro as published: two lines a pair, the bad sentence first.  A pair's id is its 1-based number in the file."""

    kind: Literal["zorro"] = "zorro"
    known: ClassVar[tuple[str, ...]] = tuple(PHENOMENON)
    inside: ClassVar[tuple[str, ...]] = ("", "babyberta", "sentences/babyberta")
    extension: ClassVar[str] = ".txt"

    def read(self, paradigm: str, file: Path) -> Iterator[tuple[int, Pair]]:
        """1-based line of the bad sentence, and pair.  Raises OntogenyError for a blank or an odd last line."""
        bad = ""
        for line, text in lines(file):
            if not text.strip():
                raise OntogenyError(f"{file}:{line}: this line is blank; a sentence is expected, bad and good in turn")
            if line % 2:
                bad = text
            else:
                yield line - 1, Pair(paradigm, str(line // 2), text, bad, PHENOMENON[paradigm])
                bad = ""
        if bad:
            raise OntogenyError(f"{file}:{line}: a bad sentence without the good one after it; the file was cut short")
