"""Linzen's table of subject-verb agreement in Wikipedia, by attractors (Linzen et al. 2016)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ontogeny.disk import content_key, missing
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError, Pair
from ontogeny.store import file_hash
from ontogeny.suites.jsonl import sentence, value
from ontogeny.suites.table import rows_of

IRREGULAR = {"are": "is", "have": "has", "do": "does", "go": "goes"}  # plural to singular; one word of each alone
ATTRACTORS = range(5)  # more are too few to judge


class Linzen(Kind):
    """Subject-verb agreement in Wikipedia, a verb against its other number after what stands before it, by attractors 0 to 4.

    As in the paper, nouns between subject and verb are all attractors, of the other number than the subject.  The other form
    is made by rule; verbs for which the rule and the table do not agree on one are left out, with their count.
    """

    kind: Literal["linzen"] = "linzen"
    path: Path
    """The table, agr_50_mostcommon_10K.tsv, with its line of names."""
    words: Literal["original", "frequent"] = "original"
    """original: sentences as they stand.  frequent: as the paper's models read them, rare words as parts of speech."""

    @property
    def name(self) -> str:
        """The suite's folder under a run's scores."""
        return self.kind

    def pairs(self) -> Iterator[Pair]:
        """Every sentence.  Raises OntogenyError, with file and line, for a row whose verb is not where it says."""
        found = False
        for pair in self._rows():
            if isinstance(pair, Pair):
                found = True
                yield pair
        if not found:
            raise OntogenyError(f"suite linzen: {self.path} holds no sentence with 0 to 4 attractors and a verb of two forms")

    def human(self) -> dict[str, float]:
        """Published human agreement by paradigm; here none."""
        return {}

    def left_out(self) -> list[str]:
        """How many rows are left out, and why."""
        reasons = Counter(row for row in self._rows() if isinstance(row, str))
        return [f"{many:,} rows left out: {reason}" for reason, many in sorted(reasons.items())]

    def fingerprint(self) -> str:
        """A hash of the table and of how it is read."""
        return content_key(self.kind, self.words, file_hash(self._file()))

    def _file(self) -> Path:
        file = self.path.expanduser()
        if not file.exists():
            raise missing(file, f"suite {self.kind}")
        return file

    def _rows(self) -> Iterator[Pair | str]:
        """Each row's pair, or why it has none."""
        file = self._file()
        plural = {row["verb"] for place, row in rows_of(file) if value(row, "verb_pos", place) == "VBP"}
        for number, (place, row) in enumerate(rows_of(file), 1):
            among, attractors = (int(value(row, name, place)) for name in ("n_intervening", "n_diff_intervening"))
            verb, words = sentence(row, "verb", place), sentence(row, "orig_sentence", place).split()
            at = int(value(row, "verb_index", place)) - 1
            if not 0 <= at < len(words) or words[at] != verb:
                raise OntogenyError(f"{place}: word {at + 1} of the sentence is not its verb, {verb!r}")
            other = singular(verb) if value(row, "verb_pos", place) == "VBP" else plural_of(verb, plural)
            if among != attractors:
                yield "nouns of both numbers between subject and verb"
            elif attractors not in ATTRACTORS:
                yield "more than 4 attractors"
            elif other is None or other == verb:
                yield "no other form of the verb that is certain"
            else:
                text = words if self.words == "original" else sentence(row, "sentence", place).split()
                name = f"attractors_{attractors}"
                yield Pair(name, str(number), verb, other, "subject_verb_agreement", context=" ".join(text[:at]))


def singular(verb: str) -> str:
    """The third person singular of a present tense.

    >>> [singular(verb) for verb in ("are", "pass", "try", "play", "use")]
    ['is', 'passes', 'tries', 'plays', 'uses']
    """
    if verb in IRREGULAR:
        return IRREGULAR[verb]
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ies"
    return f"{verb}es" if re.search(r"(s|x|z|ch|sh)$", verb) else f"{verb}s"


def plural_of(verb: str, known: set[str]) -> str | None:
    """The other form of a third person singular: the one that the table has as a plural, or else that the rule can come from."""
    backward = {other: own for own, other in IRREGULAR.items()}
    if verb in backward:
        return backward[verb]
    made = [verb.removesuffix("s"), verb.removesuffix("es"), f"{verb.removesuffix('ies')}y"]
    fitting = list(dict.fromkeys(one for one in made if singular(one) == verb))
    found = [one for one in fitting if one in known] or fitting
    return found[0] if len(found) == 1 else None
