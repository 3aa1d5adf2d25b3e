"""Where a text without spaces is cut into words: where a model of characters is surprised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ontogeny.instruments.asked import AskedWords, Reads, Spelled, of_tokens
from ontogeny.instruments.parsed import ParsedText
from ontogeny.tokens.spans import spans
from ontogeny.tokens.unknown import unknown_id
from ontogeny.trajectories.timeline import Floats

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CUTS = "segmentation"


class Cuts(NamedTuple):
    """A treebank's sentences, written without spaces, to a model whose tokens are characters."""

    asked: AskedWords  # every character is a word
    begins: Any  # (characters,) True where a word begins, that does not begin its sentence
    inside: Any  # (characters,) True where there is a character on both sides

    def row(self, surprisal: Floats) -> tuple[Any, ...]:
        """F1 of cutting before every character that costs more than both its neighbours."""
        own = surprisal[self.asked.at]
        peaks = self.inside.copy()
        peaks[1:-1] &= (own[1:-1] > own[:-2]) & (own[1:-1] > own[2:])
        inside = self.inside
        rate = float(peaks[inside].mean())
        base = float(self.begins[inside].mean())
        return (
            CUTS,
            "",
            None,
            None,
            f1(peaks[inside], self.begins[inside]),
            2 * rate * base / max(rate + base, 1e-12),
            int(inside.sum()),
        )


def f1(found: Any, right: Any) -> float:
    """Of two arrays of true and false; 0 where nothing is found."""
    both = float((found & right).sum())
    return 2 * both / max(float(found.sum() + right.sum()), 1e-12)


def without_spaces(text: ParsedText, how: Reads) -> Cuts | None:
    """None for a model whose tokens are not single characters, or that knows the space."""
    written = ["".join(word.form for word in sentence.words) for sentence in text.sentences]
    if not _characters(how.tokenizer, written[:50]):
        return None
    ids = [
        [*([] if how.first is None else [how.first]), *how.tokenizer(one, add_special_tokens=False)["input_ids"]] for one in written
    ]
    front, begins, inside = int(how.first is not None), [], []
    spelled: list[Spelled] = []
    for number, (sentence, row) in enumerate(zip(text.sentences, ids, strict=True)):
        if len(row) > how.limit or len(row) - front != len(written[number]):
            continue
        first = set(np.cumsum([len(word.form) for word in sentence.words])[:-1].tolist())
        for at in range(1 - front, len(written[number])):
            spelled.append((number, at, len(spelled)))
            begins.append(at in first)
            inside.append(0 < at < len(written[number]) - 1)
    if not spelled:
        return None
    return Cuts(of_tokens(ids, front, spelled, len(spelled), how), np.array(begins), np.array(inside))


def _characters(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> bool:
    space = tokenizer(" ", add_special_tokens=False)["input_ids"]
    unknown = unknown_id(tokenizer, None)
    single = all(end - start <= 1 for own in spans(tokenizer, list(texts)) for start, end in own)
    return single and (not space or space == [unknown])
