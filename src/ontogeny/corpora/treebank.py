"""Treebanks in CoNLL-U, as Universal Dependencies has them: sentences whose words bear tags, features and relations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ontogeny.corpora.text import walk
from ontogeny.disk import access, missing
from ontogeny.files import lines
from ontogeny.records import OntogenyError

ENDINGS = (".conllu", ".conllu.gz")
NONE = "_"  # CoNLL-U's word for what a column does not say


class TaggedWord(NamedTuple):
    """A syntactic word; "_" where the treebank does not say."""

    form: str
    upos: str
    xpos: str
    features: str  # Number=Sing|Tense=Past
    head: int | None  # the number of its head in the sentence, from 1; 0: it is the root
    relation: str
    start: int  # its characters in the text; all of the contraction's, where the words of one spell otherwise (du = de + le)
    end: int

    def feature(self, name: str) -> str:
        """The value of one of its features."""
        return next((value for key, _, value in (one.partition("=") for one in self.features.split("|")) if key == name), NONE)


class ParsedSentence(NamedTuple):
    """One sentence."""

    text: str  # as it was written: put together from its words
    words: list[TaggedWord]
    place: str  # file:line of its first word


def sentences(treebank: Path, option: str) -> Iterator[ParsedSentence]:
    """Those of a file, or of all .conllu files below a folder in the order of their paths.

    Raises OntogenyError, with file and line, for what is no CoNLL-U; `option` is what set the path.
    """
    for file in files(treebank, option):
        block: list[tuple[int, list[str]]] = []
        for number, line in chain(lines(file), [(0, "")]):
            if line.strip():
                block += [(number, cells)] if (cells := _cells(line, f"{file}:{number}")) else []
            elif block:
                yield _parsed(file, block)
                block = []


def files(treebank: Path, option: str) -> list[Path]:
    """The files of a treebank.  Raises OntogenyError if there is none."""
    path = treebank.expanduser()
    with access(path, "read"):
        if not path.exists():
            raise missing(path, option)
        found = sorted(file for _, file in walk(path) if file.name.lower().endswith(ENDINGS)) if path.is_dir() else [path]
    if not found:
        raise OntogenyError(f"{option}: no file in {path} ends in {' or '.join(ENDINGS)}")
    return found


def _cells(line: str, place: str) -> list[str] | None:
    """The columns of a word or a contraction; None for a comment, and for an empty node, which is not written."""
    cells = line.split("\t")
    if line.startswith("#") or "." in cells[0]:
        return None
    if len(cells) != 10:
        raise OntogenyError(f"{place}: a word of CoNLL-U has 10 columns between tabs, this line has {len(cells)}")
    if not re.fullmatch("[0-9]+(-[0-9]+)?", cells[0]):
        raise OntogenyError(f"{place}: a word of CoNLL-U begins with its number (3, or 3-4), not {cells[0]!r}")
    if not cells[1].strip():
        raise OntogenyError(f"{place}: a word of CoNLL-U has its form in the second column, and here nothing is there")
    return cells


def _parsed(file: Path, block: list[tuple[int, list[str]]]) -> ParsedSentence:
    text, words, size = "", list[TaggedWord](), sum("-" not in cells[0] for _, cells in block)
    last, at, whole = (
        0,
        0,
        None,
    )  # of a contraction: its last word, where the next one begins, and all of it where they spell otherwise
    for number, cells in block:
        form, space = cells[1], "" if "SpaceAfter=No" in cells[9].split("|") else " "
        if "-" in cells[0]:
            first, last = (int(end) for end in cells[0].split("-"))
            inner = [own[1] for _, own in block if "-" not in own[0] and first <= int(own[0]) <= last]
            at, whole = len(text), None if "".join(inner) == form else (len(text), len(text) + len(form))
            text += form + space
            continue
        if int(cells[0]) != len(words) + 1:
            raise OntogenyError(f"{file}:{number}: word {cells[0]} stands where word {len(words) + 1} of the sentence is expected")
        if int(cells[0]) > last:
            at, whole, text = len(text), None, text + form + space
        head = _head(cells[6], size, f"{file}:{number}")
        upos, xpos, features = cells[3:6]
        start, end = whole or (at, at + len(form))
        words.append(TaggedWord(form, upos, xpos, features, head, cells[7], start, end))
        at += len(form)
    return ParsedSentence(text.rstrip(), words, f"{file}:{block[0][0]}")


def _head(cell: str, size: int, place: str) -> int | None:
    if cell == NONE:
        return None
    if not cell.isdecimal() or int(cell) > size:
        raise OntogenyError(f"{place}: the head of a word is the number of a word of its sentence (0 to {size}), not {cell!r}")
    return int(cell)
