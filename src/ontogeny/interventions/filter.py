"""Takes documents, or single sentences of them, out of the training text by what they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from inspect import getsourcefile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from ontogeny.interventions.kinds import TextEdit
from ontogeny.records import Document, Edited, OntogenyError, Removed
from ontogeny.registry import nearest
from ontogeny.store import file_hash

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext

Unit = Literal["document", "sentence"]
Reason = Callable[[Document], str | None]  # why a stretch of text goes; None: it stays
WORD = re.compile(r"\w+|[^\w\s]")  # a run of letters and digits, or one mark
SENTENCE = re.compile(r"""\s*\S.*?(?:[.!?…]["'”’)\]]*(?=\s)\s*|\n\s*|\Z)""", re.DOTALL)


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _words(value: Any) -> Any:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list | tuple) or not all(isinstance(word, str) for word in several):
        return value  # pydantic says what is wrong with it
    return tuple(WORD.findall(" ".join(several)))


Strings = Annotated[tuple[str, ...], BeforeValidator(_several)]
Ngram = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Filter(TextEdit):
    """Takes documents or sentences out, and leaves the rest as it was, in its order.

    What matches any pattern, n-gram or predicate goes; the reason names what matched, and the run's folder keeps what went.
    A sentence ends at . ! ? or …, with the quotes and brackets that close there, before a space, and at the end of a line; a
    document all of whose sentences go is removed.
    """

    kind: Literal["filter"] = "filter"
    patterns: Strings = ()
    """Regular expressions of Python's `re`, searched for anywhere in the text; capitals count unless one begins with (?i)."""
    ngrams: Annotated[tuple[Ngram, ...], BeforeValidator(_several)] = ()
    """Sequences of words, such as "there is" or [there, is], that follow one another; a punctuation mark is a word."""
    ignore_case: bool = True
    """N-grams are found whatever their capitals."""
    predicate: str | None = None
    """A function of yours, as package.module:function; called with a Document, it returns a reason to take it out, or None."""
    unit: Unit = "document"
    """What goes: the whole document, or each sentence that matches."""

    @model_validator(mode="after")
    def _says_what(self) -> Filter:
        if not (self.patterns or self.ngrams or self.predicate):
            raise ValueError("has nothing to look for; give it patterns, ngrams or a predicate")
        for pattern in self.patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"has the pattern {pattern!r}, which is no regular expression: {error}") from None
        if not all(self.ngrams):
            raise ValueError("has an n-gram without a word")
        if self.predicate is not None and not re.fullmatch(r"[\w.]+:\w+", self.predicate):
            raise ValueError(f"has the predicate {self.predicate!r}, which is not written as package.module:function")
        return self

    def contents(self) -> list[str]:
        """A hash of the predicate's file: what it does may change under the same name."""
        file = getsourcefile(_function(self.predicate)) if self.predicate else None
        return [file_hash(Path(file))] if file else []

    def apply(self, documents: Iterator[Document], context: InterventionContext) -> Iterator[Document | Edited | Removed]:
        """As TextEdit has it, streamed.  Raises OntogenyError as `judged` does."""
        for document, reasons in self.judged(documents):
            yield without(document, reasons) if any(reasons) else document

    def judged(self, documents: Iterator[Document]) -> Iterator[tuple[Document, list[str | None]]]:
        """Each document and, for each of its pieces, why it goes; None: it stays.

        Raises OntogenyError after the last if nothing went, or everything did.
        """
        why = self._reason()
        seen = touched = left = 0
        for document in documents:
            reasons = [why(piece) for piece in pieces(document, self.unit)]
            seen, touched, left = seen + 1, touched + any(reasons), left + (not all(reasons))
            yield document, reasons
        if seen and not touched:  # no document at all is an error of its own
            raise OntogenyError(f"filter: nothing in {seen:,} documents matches {self.looks_for()}; nothing would be changed")
        if seen and not left:
            raise OntogenyError(f"filter: everything in {seen:,} documents matches {self.looks_for()}; nothing would be left")

    def looks_for(self) -> str:
        """Its criteria, in words."""
        named = [f"the pattern {pattern!r}" for pattern in self.patterns]
        named += [f"the n-gram {' '.join(ngram)!r}" for ngram in self.ngrams]
        return " or ".join([*named, *([f"the predicate {self.predicate}"] if self.predicate else [])])

    def _reason(self) -> Reason:
        ngrams = [_ngram_reason(self.ngrams, self.ignore_case)] if self.ngrams else []
        predicates = [_predicate_reason(self.predicate)] if self.predicate else []
        tried = [*map(_pattern_reason, self.patterns), *ngrams, *predicates]
        return lambda piece: next((reason for found in tried if (reason := found(piece)) is not None), None)


def pieces(document: Document, unit: Unit) -> list[Document]:
    """What is judged of a document: the whole, or its sentences."""
    if unit == "document":
        return [document]
    return [Document(text, document.source, document.line) for text in sentences(document.text)]


def without(document: Document, reasons: Sequence[str | None]) -> Edited | Removed:
    """A document without those of its pieces, one or its sentences, that have a reason to go."""
    given = "; ".join(dict.fromkeys(reason for reason in reasons if reason))
    if all(reasons):
        return Removed(document, given)
    text = "".join(piece for piece, reason in zip(sentences(document.text), reasons, strict=True) if not reason)
    text = text.rstrip() if reasons[-1] else text  # the space after what is now the last sentence parted it from the next
    return Edited(document, Document(text, document.source, document.line), given)


def sentences(text: str) -> list[str]:
    """The text cut after each sentence, with the space that follows it; joined, they are the text."""
    ends = [match.end() for match in SENTENCE.finditer(text)]
    ends = [*ends[:-1], len(text)]
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _pattern_reason(pattern: str) -> Reason:
    compiled = re.compile(pattern)

    def reason(piece: Document) -> str | None:
        found = compiled.search(piece.text)
        return f"pattern {pattern!r}: {found[0]!r}" if found else None

    return reason


def _ngram_reason(ngrams: Sequence[tuple[str, ...]], ignore_case: bool) -> Reason:
    def fold(text: str) -> str:
        return text.casefold() if ignore_case else text

    starts: dict[str, list[tuple[str, ...]]] = {}  # by first word, so that the number of n-grams costs nothing
    for ngram in ngrams:
        starts.setdefault(fold(ngram[0]), []).append(tuple(map(fold, ngram)))

    def reason(piece: Document) -> str | None:
        words = WORD.findall(fold(piece.text))
        for at, word in enumerate(words):
            for ngram in starts.get(word, ()):
                if tuple(words[at : at + len(ngram)]) == ngram:
                    return f"n-gram {' '.join(ngram)!r}"
        return None

    return reason


def _predicate_reason(name: str) -> Reason:
    function = _function(name)

    def reason(piece: Document) -> str | None:
        given = function(piece)
        if given is not None and (not isinstance(given, str) or not given):
            raise OntogenyError(
                f"filter: the predicate {name} returned {given!r} for {piece.source}:{piece.line}; a reason in words, or None"
            )
        return f"predicate {name}: {given}" if given else None

    return reason


def _function(name: str) -> Callable[[Document], Any]:
    module_name, attribute = name.split(":")
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise OntogenyError(f"filter: the predicate {name} cannot be imported ({error}); is its folder on PYTHONPATH?") from error
    if not callable(getattr(module, attribute, None)):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise OntogenyError(f"filter: {module_name} has no function {attribute!r}; {nearest(attribute, known)}")
    found: Callable[[Document], Any] = getattr(module, attribute)
    return found
