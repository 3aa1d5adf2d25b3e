"""What an instrument may ask of one checkpoint.  All that read it share one, so that its model is opened and hashed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from ontogeny import store
from ontogeny.foreign import class_named
from ontogeny.instruments.context import ReadingContext
from ontogeny.instruments.instrument import DoesNotApply
from ontogeny.records import Checkpoint, OntogenyError, Pair
from ontogeny.scoring import settled
from ontogeny.scoring.masked import named_masked
from ontogeny.scoring.reading import OpenedCheckpoint, context_of

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from ontogeny.tokens.token_store import TokenStore

ROWS = 32  # sentences in one forward pass


class Subject:
    """One checkpoint under an instrument; what it is asked for is made when it is asked for."""

    def __init__(self, context: ReadingContext, seed: int, checkpoint: Checkpoint, opened: OpenedCheckpoint):
        self.context = context
        self.seed = seed
        self.checkpoint = checkpoint
        self._opened = opened

    @property
    def model(self) -> Any:
        """A causal or masked language model on `device`, in eval mode, float32."""
        return self._opened.model.eval()

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self._opened.tokenizer

    @property
    def weights(self) -> str:
        """The hash of its weights."""
        return self._opened.weights

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.context.device

    @cached_property
    def kind(self) -> str:
        """causal or masked."""
        return "masked" if named_masked(class_named(self.checkpoint.folder)) else "causal"

    @property
    def first(self) -> int | None:
        """The token that begins a document, and ends the one before; None where there is none."""
        from ontogeny.tokens.token_store import bos_id

        return bos_id(self.tokenizer) if self.context.recipe.bos else None

    @property
    def limit(self) -> int:
        """Most input tokens that the model takes."""
        return context_of(self.model, self.context.limit)

    def text(self, split: str = "dev") -> TokenStore:
        """The run's own text as tokens: train or dev.  Raises OntogenyError for a run around somebody else's checkpoints."""
        return self.context.text(split)

    def pairs(self, suite: str) -> list[Pair]:
        """A suite's pairs, as they are scored."""
        return self.context.suite(suite).pairs

    def unigram(self) -> Any:
        """Log-probability (nats) of each token by its count in the training text, array (vocabulary,)."""
        return self.context.unigram

    def scores(self, suite: str) -> pl.DataFrame:
        """What the suite's reading of this checkpoint found: paradigm, pair, logp_good, logp_bad, tokens_good ...

        Raises OntogenyError where not all pairs were read, or none yet, or of other weights.
        """
        path = self.context.folder.scores(self.seed, suite, self.checkpoint.step)
        facts = store.table_metadata(path) if path.exists() else {}
        if facts.get("weights") != self.weights or settled.sizes(facts) is not None:
            raise OntogenyError(
                f"{self.checkpoint.folder} has no scores on all pairs of {suite}; with scoring.until: all in the recipe, "
                f"ontogeny score {self.context.folder.path} makes them"
            )
        return store.read_table(path)

    def table(self, instrument: str) -> pl.DataFrame:
        """What another instrument, one that this one `needs`, read of this checkpoint."""
        return store.read_table(self.context.folder.reading(instrument, self.seed, self.checkpoint.step))

    def reference(self) -> Subject:
        """The same seed's first checkpoint, the untrained model where step 0 is kept."""
        first = self.context.folder.checkpoints(self.seed)[0]
        return (
            self
            if first.step == self.checkpoint.step
            else Subject(self.context, self.seed, first, OpenedCheckpoint(first.folder, self.device))
        )

    def surprisals(self, sentences: Sequence[str], contexts: Sequence[str | None] | None = None) -> pl.DataFrame:
        """A row a token of each sentence, after its context where there is one: see `og.surprisals`."""
        from ontogeny.scoring.surprisals import surprisals

        bos, device = self.context.recipe.bos, str(self.device)
        return surprisals(self.model, sentences, tokenizer=self.tokenizer, contexts=contexts, bos=bos, device=device)

    def states(self, sentences: Sequence[str]) -> Iterator[list[Any]]:
        """Of each sentence the hidden states by layer, embeddings first: arrays (tokens, width), BOS in front if there is one."""
        yield from self._outputs(sentences, "hidden_states", lambda layer, i, n: layer[i, :n])

    def attentions(self, sentences: Sequence[str]) -> Iterator[list[Any]]:
        """Of each sentence the attention by layer: arrays (heads, tokens, tokens), from row to column.

        Raises DoesNotApply for a model that gives none.
        """
        before = getattr(self.model.config, "_attn_implementation", None)
        if before is not None and hasattr(self.model, "set_attn_implementation"):
            self.model.set_attn_implementation("eager")  # the others keep no weights
        try:
            yield from self._outputs(sentences, "attentions", lambda layer, i, n: layer[i, :, :n, :n])
        finally:
            if before is not None and hasattr(self.model, "set_attn_implementation"):
                self.model.set_attn_implementation(before)

    def _outputs(self, sentences: Sequence[str], what: str, cut: Any) -> Iterator[list[Any]]:
        import torch

        begin = [] if self.first is None else [self.first]
        for at in range(0, len(sentences), ROWS):
            ids = [begin + self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in sentences[at : at + ROWS]]
            if long := next((i for i, own in enumerate(ids) if len(own) > self.limit), None):
                raise OntogenyError(f"sentence {at + long} has {len(ids[long])} tokens, and the model takes {self.limit}")
            width = max(map(len, ids))
            padded = torch.tensor([own + [own[-1]] * (width - len(own)) for own in ids], device=self.device)
            mask = torch.tensor([[1] * len(own) + [0] * (width - len(own)) for own in ids], device=self.device)
            with torch.inference_mode():
                found = getattr(self.model(input_ids=padded, attention_mask=mask, **{f"output_{what}": True}), what, None)
            if not found or found[0] is None:
                raise DoesNotApply(f"{type(self.model).__name__} gives no {what.replace('_', ' ')}")
            for i, own in enumerate(ids):
                yield [cut(layer, i, len(own)).float().cpu().numpy() for layer in found]
