"""What an edit promised to leave as it was, checked on the stream before and after it.

documents      as many documents as before
lengths        each document has as many tokens, so that every token stands where it stood (`offsets` is the same promise)
order          each document comes from the source and line that it came from
unigrams       each token is as frequent
bigrams        each pair of neighbours is as frequent (a BOS has a left neighbour: the last token of the document before)
construction   documents of the protected construction are token for token the same, and no other became one
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import TokenStore

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext
    from ontogeny.interventions.kinds import CorpusEdit

Check = Callable[
    [TokenStore, TokenStore, "InterventionContext", "CorpusEdit"], str | None
]  # what is broken, in words; None if kept


def check(edit: CorpusEdit, before: TokenStore, after: TokenStore, context: InterventionContext) -> list[dict[str, Any]]:
    """Each promise of the edit as {promise, kept, found}.  Raises OntogenyError that names the first that is broken."""
    for promise in edit.keeps:
        if broken := CHECKS[promise](before, after, context, edit):
            raise OntogenyError(f"the intervention {edit.kind} promised to leave {promise} alone, but {broken}")
    return [{"promise": promise, "kept": True} for promise in edit.keeps]


def _documents(before: TokenStore, after: TokenStore, context: InterventionContext, edit: CorpusEdit) -> str | None:
    one, other = len(before.documents), len(after.documents)
    return f"{one:,} documents became {other:,}" if one != other else None


def _lengths(before: TokenStore, after: TokenStore, context: InterventionContext, edit: CorpusEdit) -> str | None:
    if broken := _documents(before, after, context, edit):
        return broken
    differ = np.flatnonzero(before.documents["start"] != after.documents["start"])
    if len(differ):
        return f"document {differ[0]:,} is the first that begins at another token than before"
    return f"{len(before):,} tokens became {len(after):,}" if len(before) != len(after) else None


def _order(before: TokenStore, after: TokenStore, context: InterventionContext, edit: CorpusEdit) -> str | None:
    if broken := _documents(before, after, context, edit):
        return broken
    differ = np.flatnonzero((before.documents["line"] != after.documents["line"]) | (_sources(before) != _sources(after)))
    return f"document {differ[0]:,} comes from another line than before" if len(differ) else None


def _unigrams(before: TokenStore, after: TokenStore, context: InterventionContext, edit: CorpusEdit) -> str | None:
    size = before.facts["vocabulary"]
    one, other = (np.bincount(text.ids, minlength=size) for text in (before, after))
    differ = np.flatnonzero(one != other)
    if not len(differ):
        return None
    token = context.tokenizer.convert_ids_to_tokens(int(differ[0]))
    return (
        f"{len(differ):,} tokens are more or less frequent: {token!r} occurs {other[differ[0]]:,} times, before {one[differ[0]]:,}"
    )


def _bigrams(before: TokenStore, after: TokenStore, context: InterventionContext, edit: CorpusEdit) -> str | None:
    size = before.facts["vocabulary"]
    counts: dict[int, int] = {}
    for text, sign in ((before, -1), (after, 1)):
        for pair, count in zip(*np.unique(_pairs(text, size), return_counts=True), strict=True):
            counts[int(pair)] = counts.get(int(pair), 0) + sign * int(count)
    differ = [pair for pair, count in counts.items() if count]
    if not differ:
        return None
    names = " ".join(context.tokenizer.convert_ids_to_tokens(list(divmod(differ[0], size))))
    return f"{len(differ):,} bigrams are more or less frequent, {names!r} by {counts[differ[0]]:+,}"


def _construction(before: TokenStore, after: TokenStore, context: InterventionContext, edit: CorpusEdit) -> str | None:
    if broken := _lengths(before, after, context, edit):
        return broken
    inside, then = edit.protected(before, context), edit.protected(after, context)
    if (differ := np.flatnonzero(inside != then)).size:
        source, line = where(before, int(differ[0]))
        what = "no longer one" if inside[differ[0]] else "one now, and was not"
        return f"{differ.size:,} documents changed sides: {source}:{line} is {what}"
    touched = np.repeat(inside, lengths(before)) & (np.asarray(before.ids) != np.asarray(after.ids))
    if touched.any():
        row = int(np.searchsorted(before.documents["start"], int(np.flatnonzero(touched)[0]), side="right")) - 1
        source, line = where(before, row)
        return f"{source}:{line}, which is of the construction, was changed"
    return None


def lengths(text: TokenStore) -> NDArray[np.int64]:
    """Tokens of each document [documents], BOS among them."""
    starts: NDArray[np.int64] = text.documents["start"].astype(np.int64)
    return np.append(starts[1:], len(text)) - starts


def where(text: TokenStore, row: int) -> tuple[str, int]:
    """Source and line of a document."""
    return text.facts["sources"][text.documents["source"][row]], int(text.documents["line"][row])


def _sources(text: TokenStore) -> NDArray[Any]:
    names: NDArray[Any] = np.array(text.facts["sources"])[text.documents["source"]]
    return names


def _pairs(text: TokenStore, size: int) -> NDArray[np.int64]:
    ids = np.asarray(text.ids, dtype=np.int64)
    return ids[:-1] * size + ids[1:]


CHECKS: dict[str, Check] = {
    "documents": _documents,
    "lengths": _lengths,
    "offsets": _lengths,
    "order": _order,
    "unigrams": _unigrams,
    "bigrams": _bigrams,
    "construction": _construction,
}
