"""The minimal pairs of BabyLM 2025's evaluation: BLiMP filtered to the challenge's vocabulary, and the supplement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from ontogeny.files import objects
from ontogeny.records import Pair
from ontogeny.suites.blimp import Warstadt
from ontogeny.suites.jsonl import ParadigmFolder, sentence


def inside(task: str, fast: bool = False) -> tuple[str, ...]:
    """Where below a path the pipeline's files of a task may lie: all of them, or the fewer it reads checkpoints on."""
    folder, data = (f"{task}_fast", "fast_eval") if fast else (f"{task}_filtered", "full_eval")
    places = [folder, *([] if fast and task in ("blimp", "supplement", "ewok") else [task])]
    return ("", *places, *(f"{above}{data}/{place}" for above in ("", "evaluation_data/") for place in places))


class FilteredBLiMP(Warstadt):
    """BLiMP's 67 paradigms without the pairs whose words are rare in BabyLM's text.  A pair keeps its id of BLiMP."""

    kind: Literal["babylm-blimp"] = "babylm-blimp"
    fast: bool = False
    """The pairs that the pipeline reads every checkpoint on, 200 of each paradigm."""
    pair_field: ClassVar[str] = "pair_id"

    @property
    def inside(self) -> tuple[str, ...]:  # type: ignore[override]
        """Where below `path` the files may lie."""
        return inside("blimp", self.fast)


class Supplement(ParadigmFolder):
    """Five paradigms about meaning, questions and dialogue.  Line breaks between the turns of a dialogue are kept.

    The source groups the paradigms in no phenomenon and gives no ids that are unique: a pair's id is its 1-based line.
    """

    kind: Literal["babylm-supplement"] = "babylm-supplement"
    fast: bool = False
    """The pairs that the pipeline reads every checkpoint on, 50 of each paradigm."""
    known: ClassVar[tuple[str, ...]] = (
        "hypernym",
        "qa_congruence_easy",
        "qa_congruence_tricky",
        "subject_aux_inversion",
        "turn_taking",
    )

    @property
    def inside(self) -> tuple[str, ...]:  # type: ignore[override]
        """Where below `path` the files may lie."""
        return inside("supplement", self.fast)

    def read(self, paradigm: str, file: Path) -> Iterator[tuple[int, Pair]]:
        """1-based line and pair.  Raises OntogenyError with file and line for a sentence that is missing or blank."""
        for line, row in objects(file):
            place = f"{file}:{line}"
            good, bad = sentence(row, "sentence_good", place), sentence(row, "sentence_bad", place)
            yield line, Pair(paradigm, str(line), good, bad)
