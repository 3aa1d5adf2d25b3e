"""A finished model that an intervention asks and never trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny import store
from ontogeny.foreign import open_tokenizer
from ontogeny.records import OntogenyError
from ontogeny.scoring.reading import open_model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from ontogeny.interventions.context import InterventionContext


def model_in(folder: Path) -> Path:
    """Where a finished model lies: the folder itself, or the last checkpoint of a run's seed."""
    written = sorted((folder / "checkpoints").glob("step-*"))
    return written[-1] if written else folder


def asked(folder: Path, context: InterventionContext, kind: str) -> Any:
    """The model of a folder, frozen.  Raises OntogenyError if it has another tokenizer than the text, or cannot be opened."""
    folder = model_in(folder)
    theirs, ours = open_tokenizer(folder).get_vocab(), context.tokenizer.get_vocab()
    if theirs != ours:
        word = next((word for word in ours if theirs.get(word) != ours[word]), None) or next(iter(theirs.keys() - ours.keys()))
        raise OntogenyError(
            f"interventions: {kind}: {folder} has another tokenizer than the text: {word!r} is {_token(ours.get(word))} of the "
            f"text's and {_token(theirs.get(word))} of the model's, so that what it says of a token would be about another; name a "
            "model with this tokenizer"
        )
    return open_model(folder).requires_grad_(False)


def _token(number: int | None) -> str:
    return "no token" if number is None else f"token {number}"


def hashes(folders: Iterable[Path]) -> list[str]:
    """What the folders say is decided by: their weights' hashes."""
    return [store.weights_hash(model_in(folder)) for folder in folders]


def said(model: Any, inputs: Tensor) -> Tensor:
    """Its logits [rows, context, tokens], float32, without a gradient."""
    import torch

    with torch.no_grad():
        logits: Tensor = model.to(inputs.device)(input_ids=inputs, use_cache=False).logits
    return logits.float()
