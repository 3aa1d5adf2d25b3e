"""What a tokenizer cannot say: characters that become its unknown token, and characters that it leaves out without any."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ontogeny.foreign import cause
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GAP = "<what no token covers>"


def unknown_id(tokenizer: PreTrainedTokenizerBase, first: int | None) -> int | None:
    """The token for what a tokenizer cannot say, unless it is the one that every sentence begins with.

    It is the model's own: a tokenizer's settings may leave it out, or name another.
    """
    own = getattr(_model(tokenizer), "unk_token", None)
    found = tokenizer.unk_token_id if own is None else tokenizer.convert_tokens_to_ids(own)
    return found if found != first else None


def left_out(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], special: bool = False) -> list[int]:
    """How many characters of each text, or bytes of a byte-level tokenizer, no token stands for; `special` as `encode` has it.

    BPE without an unknown token leaves out what it does not know; others raise an error there.
    """
    try:
        marked = _marked(tokenizer)
    except Exception as error:  # the library takes what it has opened for broken
        raise OntogenyError(f"the tokenizer cannot say what it leaves out ({cause(error)})") from error
    if marked is None:
        return [0] * len(texts)
    gap, marked.encode_special_tokens = marked.token_to_id(GAP), not special
    return [coded.ids.count(gap) for coded in marked.encode_batch_fast(list(texts), add_special_tokens=False)]


def _model(tokenizer: PreTrainedTokenizerBase) -> Any | None:
    """What cuts words into tokens in the library `tokenizers`; None for a slow tokenizer."""
    return getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)


@lru_cache(maxsize=2)
def _marked(tokenizer: PreTrainedTokenizerBase) -> Any | None:
    """The same tokenizer with a token for what it leaves out; None if there can be nothing."""
    from tokenizers import Tokenizer

    model = _model(tokenizer)
    if model is None or type(model).__name__ != "BPE" or model.unk_token is not None:
        return None
    raw = json.loads(tokenizer.backend_tokenizer.to_str())
    known = raw["model"]["vocab"]
    if _every_byte(raw, known):
        return None
    known[GAP] = 1 + max([*known.values(), *(added["id"] for added in raw["added_tokens"])])
    raw["model"] |= {"unk_token": GAP, "fuse_unk": False}
    marked = Tokenizer.from_str(json.dumps(raw))
    marked.no_truncation()
    return marked


def _every_byte(raw: dict[str, Any], known: dict[str, int]) -> bool:
    """True if any text can be written: all bytes are in the vocabulary, as letters or as <0x00> to <0xFF>."""
    from tokenizers.pre_tokenizers import ByteLevel

    if raw["model"].get("byte_fallback"):
        return all(f"<0x{byte:02X}>" in known for byte in range(256))
    letters = "ByteLevel" in _kinds([raw["pre_tokenizer"], raw["normalizer"]])
    return letters and all(letter in known for letter in ByteLevel.alphabet())


def _kinds(part: Any) -> Iterator[str]:
    """The kinds of a tokenizer's parts, however deep in one another."""
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _kinds(inner)
    if isinstance(part, dict) and "type" in part:
        yield part["type"]
