"""Sentences under a masked language model: pseudo-log-likelihoods, exactly as the definitions have them.

PLL(s) = sum over j of log p(x_j | the sentence with x_j masked) (Salazar et al. 2020, equation 1).  `within-word` also masks the
tokens after x_j that belong to its word, so that a word of many tokens does not foretell its own beginning (Kauf & Ivanova 2023,
section 3); a backward model reads from the end, so that for it they are the tokens to the left.  Each token is a forward pass of
its own, on a row of its own; the tokens around a sentence are there and never scored.

The head, which costs the vocabulary, is applied to the hidden state at the masked place alone, where that gives the model's own
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ontogeny import registry
from ontogeny.records import OntogenyError
from ontogeny.scoring.causal import named_masked as named_masked
from ontogeny.scoring.forest import Integers, ranges
from ontogeny.scoring.readout import AGREE, Progress, short_of_memory
from ontogeny.scoring.sentences import Logps, Sentences
from ontogeny.tokens.spans import spans, words
from ontogeny.tokens.token_store import backward, bos_id, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

METRICS = ("within-word", "original")
NO_WORD = -1


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """Sentences of one length, and the tokens that each is to be asked for."""

    tokens: Integers  # [S, L] with what stands around each sentence
    words: Integers  # [S, L] which word each token belongs to; what stands around, a context too, belongs to none
    sentence: Integers  # [R] which of them
    at: Integers  # [R] where its masked token stands
    place: Integers  # [R] where that token stands among the scored tokens of all sentences, laid end to end

    def masked(self, which: slice, mask: int, metric: str) -> tuple[Integers, Integers, Integers]:
        """Some rows [r, L] with their tokens masked, where each asks [r], and for which token [r]."""
        sentence, at = self.sentence[which], self.at[which]
        rows, column = self.tokens[sentence], np.arange(self.tokens.shape[1])
        hidden = column == at[:, None]
        if metric == "within-word":
            words = self.words[sentence]
            own = words[np.arange(len(at)), at][:, None]
            hidden |= (words == own) & (own != NO_WORD) & (column > at[:, None])
        return np.where(hidden, mask, rows), at, rows[np.arange(len(at)), at]


def is_masked(model: Any) -> bool:
    """True for a masked language model, by the name of its class."""
    return named_masked(type(model).__name__)


def ends(tokenizer: PreTrainedTokenizerBase, bos: bool) -> tuple[int | None, int | None]:
    """The tokens before and after every sentence: [CLS] and [SEP] where a tokenizer has them, else BOS on both sides, as in the
    stream BOS doc BOS doc ...; without `bos`, and where there is no [CLS], none.
    """
    if tokenizer.cls_token_id is not None and tokenizer.sep_token_id is not None:
        return int(tokenizer.cls_token_id), int(tokenizer.sep_token_id)
    return (bos_id(tokenizer), bos_id(tokenizer)) if bos else (None, None)


def room(model: Any, context: int) -> int:
    """The most tokens before a sentence\'s last for a model that takes `context`: all of it is input, and what follows it too."""
    return min(context, getattr(model.config, "max_position_embeddings", context) - passed_over(model)) - 2


def passed_over(model: Any) -> int:
    """Positions that no token has: the RoBERTas number theirs from one past the padding's."""
    tables = [module for name, module in model.named_modules() if name.endswith("position_embeddings")]
    return max((table.padding_idx + 1 for table in tables if getattr(table, "padding_idx", None) is not None), default=0)


@torch.inference_mode()
def read(
    model: Any,
    sentences: Sentences,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
    bos: bool = True,
    batch_tokens: int = 2048,
    progress: Progress = lambda sentences: None,
    metric: str = "within-word",
) -> Logps:
    """Pseudo-log-probabilities of the sentences' tokens; a context is seen, and neither masked nor scored.

    Raises OntogenyError for a model that is not masked, one without a mask token, another metric, or a number that is not finite.
    """
    if metric not in METRICS:
        raise OntogenyError(f"no pseudo-log-likelihood is called {metric!r}; {registry.nearest(metric, list(METRICS))}")
    if not is_masked(model):
        raise OntogenyError(
            f"{type(model).__name__} is no masked language model and has no pseudo-log-likelihood; "
            "score it with ontogeny.scoring.causal"
        )
    mask, (_, last) = mask_id(model, tokenizer), ends(tokenizer, bos)
    words = word_ids(sentences, tokenizer) if metric == "within-word" else None
    found = np.zeros(int(sentences.lengths.sum()))
    way, most = None, batch_tokens
    for rows, count in by_length(sentences, words, last):
        if way is None:
            way = choose(model, rows, mask, metric, device)
        most = _fill(found, model, rows, way, mask, metric, device, most)
        progress(count)
    sentences.check_finite(found, np.arange(len(found)))
    facts = {"way": f"masked, {metric}, {'hidden states' if way == 'body' else 'logits'}"}
    return found, facts | ({"batch_tokens": most} if most < batch_tokens else {})


def mask_id(model: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """The mask in the model's config, which it was trained with, or the tokenizer's.  Raises OntogenyError if there is neither."""
    for found in (getattr(model.config, "mask_token_id", None), tokenizer.mask_token_id):
        if found is not None:
            return int(found)
    raise OntogenyError("neither the tokenizer nor the model's config says which token is the mask (mask_token_id)")


def word_ids(sentences: Sentences, tokenizer: PreTrainedTokenizerBase) -> list[Integers]:
    """Which word each token of each sentence belongs to; what stands before it, to none.

    By the tokenizer's own cut into words.  One that makes no cut, as Llama's and Gemma's, to which a text is one word: by the white
    space in the text.  A backward tokenizer's words come last word first, as its tokens do.

    Raises OntogenyError for a tokenizer that does not say, or that is not the one the sentences were made with.
    """
    if not tokenizer.is_fast:
        raise OntogenyError("this tokenizer does not say which tokens make a word; use the metric 'original', or a fast tokenizer")
    known: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    texts = sorted({row.text for row in sentences.rows})
    step, of = (-1 if backward(tokenizer) else 1), (_own_words if _cuts(tokenizer) else _spaced_words)
    for space in ("", " "):  # they may have been made with a leading space
        given = [f"{space}{text}" for text in texts]
        for text, ids, own in zip(texts, encode(tokenizer, given, None, special=True), of(tokenizer, given), strict=True):
            known.setdefault((text, tuple(ids)), own[::step])
    try:
        found = [[NO_WORD] * row.before + known[row.text, row.ids[row.before :]] for row in sentences.rows]
    except KeyError:
        raise OntogenyError(
            "the sentences' tokens are not what this tokenizer makes of them: they do not belong together"
        ) from None
    return [np.array(own, dtype=np.int64) for own in found]


def _cuts(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True for a tokenizer to which two words are two."""
    return len(set(_own_words(tokenizer, ["a b"])[0])) > 1


def _own_words(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    coded = tokenizer(texts, add_special_tokens=False)
    return [[NO_WORD if word is None else word for word in coded.word_ids(number)] for number in range(len(texts))]


def _spaced_words(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    return [words(text, places) for text, places in zip(texts, spans(tokenizer, texts), strict=True)]


def by_length(sentences: Sentences, words: list[Integers] | None, last: int | None) -> Iterator[tuple[MaskedRows, int]]:
    """Rows of each length, longest first so that memory is short at once or never, and the number of sentences in them."""
    end = () if last is None else (last,)
    for size in np.unique(sentences.sizes)[::-1]:
        which = np.flatnonzero(sentences.sizes == size)
        given = sentences.given[which]
        at, sentence = ranges(given, np.full(len(which), size))
        tokens = np.array([(*sentences[int(i)], *end) for i in which], dtype=np.int64)
        of = np.full_like(tokens, NO_WORD)
        if words is not None:
            of[:, :size] = [words[i] for i in which]
        yield MaskedRows(tokens, of, sentence, at, (sentences.starts[which] - given)[sentence] + at), len(which)


def _fill(
    found: NDArray[np.float64], model: Any, rows: MaskedRows, way: str, mask: int, metric: str, device: torch.device, most: int
) -> int:
    """Puts log p of every row in its place.  Returns the most tokens that a pass had, which is less where memory is short."""
    start, width = 0, rows.tokens.shape[1]
    while start < len(rows.at):
        which = slice(start, start + max(1, most // width))
        try:
            found[rows.place[which]] = logps(model, *rows.masked(which, mask, metric), way, device)
        except RuntimeError as error:
            if which.stop - which.start == 1 or not short_of_memory(error):
                raise
            most = (which.stop - which.start) * width // 2
            continue
        start = which.stop
    return most


def choose(model: Any, rows: MaskedRows, mask: int, metric: str, device: torch.device) -> str:
    """`body` if the head on one hidden state gives what it gives on all, else `logits`."""
    trial = rows.masked(slice(0, 8), mask, metric)
    expected = logps(model, *trial, "logits", device)
    try:
        found = logps(model, *trial, "body", device)
    except Exception:  # a head of somebody else's that wants every state may raise anything
        return "logits"
    return "body" if np.allclose(found, expected, rtol=AGREE, atol=AGREE) else "logits"


def logps(model: Any, tokens: Integers, at: Integers, wanted: Integers, way: str, device: torch.device) -> NDArray[np.float64]:
    """log p in nats of the tokens `wanted` [r] at places `at` [r] of rows [r, L]; log-softmax in float32."""
    ids, place, target = (torch.from_numpy(part).to(device) for part in (tokens, at, wanted))
    with _only(model, place) if way == "body" else _all():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    row = torch.arange(len(ids), device=device)
    chosen = logits[:, 0] if way == "body" else logits[row, place]  # [r, vocabulary]
    return chosen.float().log_softmax(-1)[row, target].double().cpu().numpy()  # type: ignore[no-any-return]


@contextmanager
def _all() -> Iterator[None]:
    yield


@contextmanager
def _only(model: Any, place: torch.Tensor) -> Iterator[None]:
    """Inside it the model's body gives its head the hidden state at one place of each row alone."""

    def pick(module: Any, given: Any, out: Any) -> Any:
        states = out.last_hidden_state
        out.last_hidden_state = states[torch.arange(len(place), device=states.device), place][:, None]
        return out

    handle = getattr(model, model.base_model_prefix).register_forward_hook(pick)
    try:
        yield
    finally:
        handle.remove()
