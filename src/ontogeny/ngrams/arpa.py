"""A Kneser-Ney model as an ARPA file, the format that KenLM, SRILM and others read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from ontogeny import disk
from ontogeny.ngrams.kneser_ney import Floats, KneserNey
from ontogeny.ngrams.sorting import Ints
from ontogeny.records import OntogenyError

NEVER = -99.0  # log10 of the probability that <s> is predicted, by custom


def write(path: Path, model: KneserNey, order: int, names: Sequence[str], unknown: int | None = None) -> None:
    """Writes the model of one order: log10 probability, n-gram, log10 of the weight that its longer n-grams leave to shorter ones.

    `names` are the tokens as they shall stand in the file; a leading BOS becomes <s>, a last one </s>, `unknown` <unk>.
    Tokens that never occur are left out: a reader gives them the probability of <unk>, which is that of any one of them.
    Raises OntogenyError if a name is empty, holds white space or is there twice, or if no token serves as BOS.
    """
    bos, levels = model.index.bos, model.levels(order)
    if bos is None:
        raise OntogenyError("an ARPA model begins its sentences with <s>; this stream has no BOS")
    words = _names(names, bos, unknown)
    with disk.atomic(path) as temporary, temporary.open("wb") as file:
        known = model.index.levels[0].key.astype(np.int64)
        if "<s>" in words.gather(known):
            raise OntogenyError(
                "the text holds a token <s> of its own, which in an ARPA file begins sentences; give it another name"
            )
        sizes = [len(level) for level in model.index.levels[:order]]
        sizes[0] += 1 if unknown is None or unknown in known else 2  # <s>, and <unk> where it never occurs
        counts = "".join(f"ngram {n}={size}\n" for n, size in enumerate(sizes, start=1))
        file.write(f"\\data\\\n{counts}".encode())
        tokens: list[Ints] = []  # the tokens of each n-gram of the level, one column each
        p: Floats = np.full(1, 1 / model.vocabulary)  # of each n-gram of the level below
        for n, (level, entry) in enumerate(zip(levels, model.index.levels, strict=False), start=1):
            rows = np.arange(len(entry))
            parents = (entry.key // np.uint64(model.vocabulary)).astype(np.int64)
            below = p[np.zeros_like(rows)] if n == 1 else p[entry.suffix.astype(np.int64)]
            p = level.share(rows) + level.gammas[parents] * below
            tokens = [*(column[parents] for column in tokens), (entry.key % np.uint64(model.vocabulary)).astype(np.int64)]
            backoff = levels[n].gammas if n < order else None
            file.write(f"\n\\{n}-grams:\n".encode())
            if n == 1:
                _unigrams(file, words, tokens[0], p, backoff, bos, unknown, level.gammas[0] / model.vocabulary)
            else:
                _ngrams(file, words, tokens, p, backoff, bos)
        file.write(b"\n\\end\\\n")


def _names(names: Sequence[str], bos: int, unknown: int | None) -> pl.Series:
    words = list(names)
    words[bos] = "</s>"
    if unknown is not None:
        words[unknown] = "<unk>"
    wrong = next((word for word in words if not word or any(c.isspace() for c in word)), None)
    if wrong is None and len(set(words)) < len(words):
        wrong = next(word for word, times in Counter(words).items() if times > 1)
    if wrong is not None:
        raise OntogenyError(
            f"tokens must have names without white space, each its own, to stand in an ARPA file; not so: {wrong!r}"
        )
    return pl.Series(words)


def _unigrams(
    file: BinaryIO, words: pl.Series, tokens: Ints, p: Floats, backoff: Floats | None, bos: int, unknown: int | None, unseen: float
) -> None:
    weights = np.ones(len(tokens)) if backoff is None else backoff
    begins = float(weights[np.searchsorted(tokens, bos)])
    special = [(NEVER, "<s>", np.log10(begins))]
    special += [(np.log10(unseen), "<unk>", 0.0)] if unknown is not None and unknown not in tokens else []
    weights = np.where(tokens == bos, 1.0, weights)  # nothing follows </s>
    rows = pl.DataFrame({"p": np.log10(p), "ngram": words.gather(tokens), "backoff": np.log10(weights)})
    head = pl.DataFrame(special, schema=rows.schema, orient="row")
    _lines(file, pl.concat([head, rows]), backoff is not None)


def _ngrams(
    file: BinaryIO, words: pl.Series, tokens: list[Ints], p: Floats, backoff: Floats | None, bos: int, chunk: int = 2**20
) -> None:
    for start in range(0, len(p), chunk):
        part = slice(start, start + chunk)
        columns = [words.gather(column[part]) for column in tokens]
        columns[0] = pl.select(pl.when(pl.Series(tokens[0][part] == bos)).then(pl.lit("<s>")).otherwise(columns[0])).to_series()
        frame = pl.DataFrame({f"{i}": column for i, column in enumerate(columns)})
        rows = frame.select(
            p=pl.Series(np.log10(p[part])),
            ngram=pl.concat_str(pl.all(), separator=" "),
            backoff=pl.Series(np.log10(backoff[part]) if backoff is not None else np.zeros(len(frame))),
        )
        _lines(file, rows, backoff is not None)


def _lines(file: BinaryIO, rows: pl.DataFrame, with_backoff: bool) -> None:
    rows = rows if with_backoff else rows.drop("backoff")
    rows.write_csv(file, include_header=False, separator="\t", quote_style="never", float_precision=7)
