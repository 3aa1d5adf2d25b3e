"""The minimal pairs of BabyLM 2025's evaluation: BLiMP filtered to the challenge's vocabulary, and the supplement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from ontogeny.files import objects
from ontogeny.records import Pair
from ontogeny.suites.blimp import Warstadt
from ontogeny.suites.jsonl import ParadigmFolder, sentence


def _inside(folder: str) -> tuple[str, ...]:
    return ("", folder, f"full_eval/{folder}", f"evaluation_data/full_eval/{folder}")


class FilteredBLiMP(Warstadt):
    """BLiMP's 67 paradigms without the pairs whose words are rare in BabyLM's text.  A pair keeps its id of BLiMP."""

    kind: Literal["babylm-blimp"] = "babylm-blimp"
    inside: ClassVar[tuple[str, ...]] = _inside("blimp_filtered")
    pair_field: ClassVar[str] = "pair_id"


class Supplement(ParadigmFolder):
    """Five paradigms about meaning, questions and dialogue.  Line breaks between the turns of a dialogue are kept.

    The source groups the paradigms in no phenomenon and gives no ids that are unique: a pair's id is its 1-based line.
    """

    kind: Literal["babylm-supplement"] = "babylm-supplement"
    known: ClassVar[tuple[str, ...]] = (
        "hypernym",
        "qa_congruence_easy",
        "qa_congruence_tricky",
        "subject_aux_inversion",
        "turn_taking",
    )
    inside: ClassVar[tuple[str, ...]] = _inside("supplement_filtered")

    def read(self, paradigm: str, file: Path) -> Iterator[tuple[int, Pair]]:
        """1-based line and pair.  Raises OntogenyError with file and line for a sentence that is missing or blank."""
        for line, row in objects(file):
            place = f"{file}:{line}"
            good, bad = sentence(row, "sentence_good", place), sentence(row, "sentence_bad", place)
            yield line, Pair(paradigm, str(line), good, bad)
