"""What an edit of single tokens changed besides what it was made for, and its changes for people to read."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontogeny import ngrams
from ontogeny.interventions.construction import Writing
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.promises import where
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.scoring.plan import Plan
from ontogeny.tokens.token_store import TokenStore

Ints = NDArray[np.int64]
WIDTH = 40  # tokens shown on either side of a changed one, no further than its document


def anew(context: InterventionContext, ids: NDArray[Any], plan: Plan) -> dict[str, float]:
    """Mean bigram margins of a plan's paradigms in a stream that is counted from the beginning, nats."""
    names = np.array([pair.paradigm for pair in plan.pairs])
    with tempfile.TemporaryDirectory() as folder:
        index = ngrams.build(Path(folder) / "index", ids, len(context.tokenizer), context.first, order=2)
        sentences = WalkedPairs(index, plan)
        own = sentences.margins(sentences.logps(ngrams.KneserNey(index), 2), 2)
        del index
    return {str(name): float(own[names == name].mean()) for name in dict.fromkeys(names.tolist())}


def counted(before: NDArray[Any], after: NDArray[Any], bos: int | None, vocabulary: int) -> dict[str, Any]:
    """How many tokens, bigrams and trigrams are others than before."""
    tokens = int((np.asarray(before) != np.asarray(after)).sum())
    found: dict[str, Any] = {"tokens_changed": tokens, "share_of_stream": tokens / len(before)}
    for name, n in (("bigrams", 2), ("trigrams", 3)):
        found[name] = ngram_change(before, after, n, bos, vocabulary)
    return found


def ngram_change(before: NDArray[Any], after: NDArray[Any], n: int, bos: int | None, vocabulary: int) -> dict[str, Any]:
    """What became of the n-grams (n = 2 or 3) of a stream, none of which has a BOS inside.

    total      n-grams before
    touched    of them, how many have a token that is another one now
    distinct   n-grams whose count is another one now
    l1         sum of the changes of their counts, without sign
    l1_share   `l1` by `total`: at most 2, where no n-gram stayed
    """
    end = [] if bos is None else [bos]
    old, new = (np.append(np.asarray(ids), end).astype(np.uint64) for ids in (before, after))
    starts = np.unique(np.flatnonzero(old != new)[:, None] - np.arange(n))
    starts = starts[(starts >= 0) & (starts <= len(old) - n)]
    inner = np.flatnonzero(old == bos) if n == 3 and bos is not None else np.zeros(0, dtype=np.int64)
    starts = starts[~np.isin(starts + 1, inner)]
    total = max(0, len(old) - n + 1) - int(((inner > 0) & (inner < len(old) - 1)).sum())
    keys = [_keys(ids, starts, n, vocabulary) for ids in (old, new)]
    distinct, back = np.unique(np.concatenate(keys), return_inverse=True)
    change = np.bincount(back, weights=np.repeat([-1, 1], len(starts)), minlength=len(distinct))
    l1 = int(np.abs(change).sum())
    return {
        "total": total,
        "touched": len(starts),
        "touched_share": len(starts) / max(1, total),
        "distinct": int((change != 0).sum()),
        "l1": l1,
        "l1_share": l1 / max(1, total),
    }


def _keys(ids: NDArray[np.uint64], starts: Ints, n: int, vocabulary: int) -> NDArray[np.uint64]:
    keys = np.zeros(len(starts), dtype=np.uint64)
    for offset in range(n):
        keys = keys * np.uint64(vocabulary) + ids[starts + offset]
    return keys


def table(text: TokenStore, writing: Writing, after: NDArray[Any], sides: Mapping[str, Ints]) -> pl.DataFrame:
    """One row a change: of each side, stream positions [K], the place, its word, what it becomes, its text before and after.

    The columns of a side begin with its name, if it has one.
    """
    columns: dict[str, Sequence[Any]] = {"change": list(range(1, 1 + len(next(iter(sides.values())))))}
    before = np.asarray(text.ids)
    for name, at in sides.items():
        prefix = f"{name}_" if name else ""
        rows, spans = _spans(text, at)
        places = [where(text, int(row)) for row in rows]
        columns[f"{prefix}place"] = [f"{source}:{line}" for source, line in places]
        columns[f"{prefix}word"] = [word.strip() for word in writing.texts([[int(i)] for i in before[at]])]
        columns[f"{prefix}becomes"] = [word.strip() for word in writing.texts([[int(i)] for i in after[at]])]
        for when, ids in (("before", before), ("after", after)):
            columns[f"{prefix}{when}"] = writing.texts([ids[low:high].tolist() for low, high in spans])
    return pl.DataFrame(columns)


def _spans(text: TokenStore, at: Ints) -> tuple[Ints, list[tuple[int, int]]]:
    """Document of each position, and the stretch of it that is shown."""
    starts = np.asarray(text.documents["start"], dtype=np.int64)
    rows = np.searchsorted(starts, at, side="right") - 1
    ends = np.append(starts[1:], len(text))[rows]
    low, high = np.maximum(starts[rows], at - WIDTH), np.minimum(ends, at + WIDTH + 1)
    return rows, list(zip(low.tolist(), high.tolist(), strict=True))
