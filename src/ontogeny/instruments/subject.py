"""What an instrument may ask of one checkpoint.  All that read it share one, so that its model is opened and hashed once.

What opens models is imported where it is asked for: who draws an instrument's tables knows this class too, and needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ontogeny import disk
from ontogeny.foreign import class_named
from ontogeny.instruments.context import ReadingContext
from ontogeny.instruments.instrument import DoesNotApply
from ontogeny.records import Checkpoint, OntogenyError, Pair
from ontogeny.scoring import settled
from ontogeny.scoring.options import of_two

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from ontogeny.instruments.parsed import ParsedText
    from ontogeny.scoring.plan import Plan
    from ontogeny.scoring.reading import OpenedCheckpoint
    from ontogeny.scoring.sentences import Sentences
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

    def check_weights(self) -> None:
        """Raises OntogenyError that names the first of its weights that is not finite, if the model has been opened."""
        if "model" in vars(self._opened) and self._broken:
            raise OntogenyError(
                f"{self.checkpoint.folder}: {self._broken} has a weight that is no finite number; what is read off this model "
                "means nothing, but for its loss"
            )

    @cached_property
    def _broken(self) -> str:
        return next((name for name, weight in self._opened.model.named_parameters() if not weight.isfinite().all()), "")

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.context.device

    @cached_property
    def _margins(self) -> dict[tuple[str, int | None], NDArray[np.float64]]:
        return {}

    @cached_property
    def kind(self) -> str:
        """causal or masked."""
        from ontogeny.scoring.masked import named_masked

        return "masked" if named_masked(class_named(self.checkpoint.folder)) else "causal"

    @property
    def first(self) -> int | None:
        """The token that begins a document, and ends the one before; None where there is none."""
        from ontogeny.tokens.token_store import bos_id

        return bos_id(self.tokenizer) if self.context.recipe.bos else None

    @property
    def limit(self) -> int:
        """Most input tokens that the model takes."""
        from ontogeny.scoring.reading import context_of

        return context_of(self.model, self.context.limit)

    def text(self, split: str = "dev") -> TokenStore:
        """The run's own text as tokens: train or dev.  Raises OntogenyError where it is not known, or cut into other tokens."""
        found = self.context.text(split)
        mask = self.tokenizer.mask_token_id == found.facts["vocabulary"]  # that a masked model of ours got beside the text's tokens
        if len(self.tokenizer) - mask != found.facts["vocabulary"]:
            raise OntogenyError(
                f"{self.checkpoint.folder} has a tokenizer of {len(self.tokenizer):,} tokens, the text was cut by another, of "
                f"{found.facts['vocabulary']:,}: checkpoints of one training have one tokenizer"
            )
        return found

    def pairs(self, suite: str) -> list[Pair]:
        """A suite's pairs, as they are scored."""
        return self.context.suite(suite).pairs

    def suites_of_two(self) -> list[str]:
        """The suites that have paradigms of pairs, asked of the whole model.  Raises DoesNotApply where none has."""
        found = [suite.name for suite in self.context.suites if suite.part is None and of_two(suite.pairs)]
        if not found:
            raise DoesNotApply("no suite of this run has pairs of one right and one wrong sentence")
        return found

    def plan(self, suite: str, most: int | None = None) -> Plan:
        """Pairs of a suite of `suites_of_two` as tokens, so many of each paradigm; made once for a tokenizer."""
        return self.once(("plan", suite, most), lambda: self._plan(suite, most))  # type: ignore[no-any-return]

    def once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What is the same at all checkpoints that have one tokenizer, made once."""
        from ontogeny.scoring.reading import tokenizer_key

        return self.context.once((*key, tokenizer_key(self.checkpoint.folder, self.tokenizer)), make)

    def _plan(self, suite: str, most: int | None) -> Plan:
        from ontogeny.scoring import plan as plans

        pairs = plans.sample(of_two(self.pairs(suite)), most)
        return plans.make(pairs, self.tokenizer, self.first, self.limit, self.context.recipe.scoring.leading_space)

    def margins(self, suite: str, most: int | None = None) -> NDArray[np.float64]:
        """The model's margins of a plan's pairs, nats; read once for all that ask.

        Raises OntogenyError if a log-probability is no finite number.
        """
        if (suite, most) not in self._margins:
            plan = self.plan(suite, most)
            sums = np.add.reduceat(self.logps(plan.sentences), plan.sentences.starts)
            self._margins[suite, most] = np.asarray(sums[plan.good] - sums[plan.bad], dtype=np.float64)
        return self._margins[suite, most]

    def logps(self, sentences: Sentences) -> NDArray[np.float64]:
        """log p (nats) of every scored token of some sentences, laid end to end.

        Raises OntogenyError if one is no finite number.
        """
        from ontogeny.scoring import causal

        way, batch = causal.choose_way(self.model, sentences, self.device), self.context.recipe.scoring.batch_tokens
        return causal.read_by(way, sentences, self.device, batch)[0]

    def parsed(self, treebank: Path, option: str, words: int) -> ParsedText:
        """Sentences of a treebank as the model's tokens, so many words at the most; made once for a tokenizer.

        Raises DoesNotApply and OntogenyError as `parsed_text` does; `option` is what set the path.
        """
        key = ("parsed", treebank, words, self.limit)
        from ontogeny.instruments.parsed import parsed_text

        return self.once(key, lambda: parsed_text(self, treebank, option, words))  # type: ignore[no-any-return]

    def unigram(self) -> Any:
        """Log-probability (nats) of each token by its count in the training text, array (vocabulary,)."""
        return self.context.unigram

    def scores(self, suite: str) -> pl.DataFrame:
        """What the suite's reading of this checkpoint found: paradigm, pair, logp_good, logp_bad, tokens_good ...

        Raises OntogenyError where not all pairs were read, or none yet, or of other weights.
        """
        path = self.context.folder.scores(self.seed, suite, self.checkpoint.step)
        facts = disk.table_metadata(path) if path.exists() else {}
        if facts.get("weights") != self.weights or settled.sizes(facts) is not None:
            raise OntogenyError(
                f"{self.checkpoint.folder} has no scores on all pairs of {suite}; with scoring.until: all in the recipe, "
                f"ontogeny score {self.context.folder.path} makes them"
            )
        return disk.read_table(path)

    def table(self, instrument: str) -> pl.DataFrame:
        """What another instrument, one that this one `needs`, read of this checkpoint."""
        return disk.read_table(self.context.folder.reading(instrument, self.seed, self.checkpoint.step))

    def reference(self) -> Subject:
        """The same seed's first checkpoint, the untrained model where step 0 is kept."""
        first = self.context.folder.checkpoints(self.seed)[0]
        if first.step == self.checkpoint.step:
            return self
        self.context.bring(first)
        return Subject(self.context, self.seed, first, self._opened.like(first.folder))

    def of_seed(self, seed: int) -> Subject:
        """Another seed at the same step.  Raises OntogenyError where it has no checkpoint there yet."""
        return self._other(seed, self.checkpoint.step)

    def last(self) -> Subject:
        """The same seed where its training ends.  Raises OntogenyError where it has not come there yet."""
        return self._other(self.seed, self.context.ends(self.seed))

    def _other(self, seed: int, step: int) -> Subject:
        if (found := next((one for one in self.context.folder.checkpoints(seed) if one.step == step), None)) is None:
            raise OntogenyError(
                f"seed {seed} has no checkpoint at step {step:,}, which seed {self.seed} is held against; once it has, "
                f"ontogeny read {self.context.folder.path}"
            )
        self.context.bring(found)
        return Subject(self.context, seed, found, self._opened.like(found.folder))

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
        with self._eager():
            yield from self._outputs(sentences, "attentions", lambda layer, i, n: layer[i, :, :n, :n])

    def attending(self, rows: Sequence[Sequence[int]]) -> Iterator[NDArray[np.float32]]:
        """Of each row of token ids the attention of all layers: an array (layers, heads, tokens, tokens).

        Raises DoesNotApply for a model that gives none, or whose layers differ in their heads, and OntogenyError that names layer
        and row where a weight is no finite number.
        """
        import torch

        with self._eager():
            for part, ids in self.padded(rows):
                with torch.inference_mode():
                    found = getattr(self.model(input_ids=ids, output_attentions=True), "attentions", None)
                if not found or found[0] is None or len({layer.shape for layer in found}) > 1:
                    raise DoesNotApply(f"{type(self.model).__name__} gives no attentions of equal layers")
                every = torch.stack(found, 1).float().cpu().numpy()
                if len(wrong := np.argwhere(~np.isfinite(every).all(axis=(2, 3, 4)))):
                    row, layer = wrong[0]
                    raise OntogenyError(
                        f"an attention weight of layer {layer + 1} is no finite number, in row {part.start + row} of the text; the "
                        "model's weights may be broken"
                    )
                yield from (one[..., : len(row), : len(row)] for one, row in zip(every, rows[part], strict=True))

    @contextmanager
    def _eager(self) -> Iterator[None]:
        """Attention so computed that its weights are kept, and then as before."""
        before = getattr(self.model.config, "_attn_implementation", None)
        switches = before is not None and hasattr(self.model, "set_attn_implementation")
        if switches:
            self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            if switches:
                self.model.set_attn_implementation(before)

    def _outputs(self, sentences: Sequence[str], what: str, cut: Any) -> Iterator[list[Any]]:
        import torch

        begin = [] if self.first is None else [self.first]
        every = [begin + self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in sentences]
        if long := next((i for i, own in enumerate(every) if len(own) > self.limit), None):
            raise OntogenyError(f"sentence {long} has {len(every[long])} tokens, and the model takes {self.limit}")
        for part, padded in self.padded(every):
            sizes = [len(own) for own in every[part]]
            mask = torch.tensor([[1] * size + [0] * (padded.shape[1] - size) for size in sizes], device=self.device)
            with torch.inference_mode():
                found = getattr(self.model(input_ids=padded, attention_mask=mask, **{f"output_{what}": True}), what, None)
            if not found or found[0] is None:
                raise DoesNotApply(f"{type(self.model).__name__} gives no {what.replace('_', ' ')}")
            for i, size in enumerate(sizes):
                yield [cut(layer, i, size).float().cpu().numpy() for layer in found]

    def hidden(self, ids: torch.Tensor) -> Sequence[torch.Tensor]:
        """The hidden states by layer, embeddings first, (rows, tokens, width) each; no logits are made.

        Raises DoesNotApply for a model that gives none.
        """
        body = getattr(self.model, getattr(self.model, "base_model_prefix", ""), self.model)
        found: Sequence[torch.Tensor] | None = getattr(body(input_ids=ids, output_hidden_states=True), "hidden_states", None)
        if not found:
            raise DoesNotApply(f"{type(self.model).__name__} gives no hidden states")
        return found

    def padded(self, every: Sequence[Sequence[int]]) -> Iterator[tuple[slice, torch.Tensor]]:
        """Token ids in batches of `ROWS`, each filled up at its end with a row's last token, which a causal model does not see."""
        import torch

        for at in range(0, len(every), ROWS):
            some = every[at : at + ROWS]
            width = max(map(len, some))
            rows = [[*own, *[own[-1]] * (width - len(own))] for own in some]
            yield slice(at, at + len(some)), torch.tensor(rows, device=self.device)

    def sample(self, tokens: int = 2048, width: int = 64) -> NDArray[np.int64]:
        """Rows of text (rows, width), each after BOS where there is one: what states are looked at on, the same at all checkpoints.

        They are spread evenly over the run's held-out text; over the right sentences of its suites, one after another, where the
        text is not known.  Raises OntogenyError where there is less than a row of it.
        """
        width = min(width, self.limit)
        return self.once(("sample", tokens, width), lambda: self._sample(tokens, width))  # type: ignore[no-any-return]

    def repeated(self, rows: int, tokens: int) -> NDArray[np.int64]:
        """BOS + x + x (rows, ...): x are tokens drawn by their frequency in the text, `tokens` or as many as fit twice."""
        n = min(tokens, (self.limit - 1) // 2)
        if n < 2:
            raise OntogenyError(f"a text that is repeated takes 5 tokens, and the model takes {self.limit}")
        return self.once(("repeated", rows, n), lambda: self._repeated(rows, n))  # type: ignore[no-any-return]

    def _repeated(self, rows: int, n: int) -> NDArray[np.int64]:
        counts = np.bincount(self.stream("train")).astype(np.float64)
        if self.first is not None:
            counts[self.first] = 0
        once = np.random.default_rng(0).choice(len(counts), size=(rows, n), p=counts / counts.sum())
        front = np.zeros((rows, 0), dtype=np.int64) if self.first is None else np.full((rows, 1), self.first)
        return np.hstack([front, once, once]).astype(np.int64)

    def _sample(self, tokens: int, width: int) -> NDArray[np.int64]:
        stream = self.stream("dev")
        own = width - (self.first is not None)
        if (there := len(stream) // own) < 1:
            raise OntogenyError(f"the text that states are read on has {len(stream)} tokens, and a row takes {own}")
        begins = np.unique(np.linspace(0, there - 1, min(there, max(1, tokens // width))).astype(np.int64)) * own
        rows = np.stack([stream[begin : begin + own] for begin in begins])
        return rows if self.first is None else np.pad(rows, ((0, 0), (1, 0)), constant_values=self.first)

    def stream(self, split: str = "train") -> NDArray[np.int64]:
        """The tokens of the run's text, train or dev; of the right sentences of its suites where that is not known."""
        from ontogeny.tokens.token_store import encode

        if self.context.knows_text:
            return np.asarray(self.text(split).ids, dtype=np.int64)
        texts = [pair.good for suite in self.context.suites for pair in suite.pairs]
        return np.array([token for text in encode(self.tokenizer, texts, self.first) for token in text], dtype=np.int64)

    @cached_property
    def sampled_states(self) -> tuple[NDArray[np.float32], ...]:
        """The hidden states of `sample()`, embeddings first, (rows, tokens, width) each: one pass for all that look at them.

        Raises DoesNotApply for a model that gives none, and OntogenyError that names layer and row where one is no finite number.
        """
        import torch

        parts = []
        for _, ids in self.padded(self.sample().tolist()):
            with torch.inference_mode():
                parts.append([layer.float().cpu().numpy() for layer in self.hidden(ids)])
        layers = tuple(np.concatenate(layer) for layer in zip(*parts, strict=True))
        for number, layer in enumerate(layers):
            if len(wrong := np.flatnonzero(~np.isfinite(layer).all(axis=(1, 2)))):
                raise OntogenyError(
                    f"a state of layer {number} is no finite number, in row {wrong[0]} of the text; the weights may be broken"
                )
        return layers
