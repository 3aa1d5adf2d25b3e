"""Pre-pretrain: a formal language first, over random tokens; then the text, with token embeddings that know nothing of it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from ontogeny.corpora.formal import Formal
from ontogeny.interventions.kinds import Course, StreamEdit, StreamEdited, Window
from ontogeny.interventions.reset import begun, embeddings, renew, step_at, total_steps
from ontogeny.interventions.surrogate import LONGEST, SHOWN
from ontogeny.records import OntogenyError
from ontogeny.tokens.token_store import ROW
from ontogeny.training.treatment import Change

if TYPE_CHECKING:
    from ontogeny.interventions.context import InterventionContext
    from ontogeny.training.state import TrainingState


class PrePretrain(StreamEdit, Course):
    """The first steps read strings of a formal language, each symbol a token drawn at random; then the embeddings are drawn anew.

    The optimiser forgets what it knows of the embeddings; all else of network and optimiser goes on as it is.
    """

    kind: Literal["pre-pretrain"] = "pre-pretrain"
    when: Window = Window(until=0.04)
    """The share of training that reads strings: from the beginning."""
    strings: Formal = Formal(language="cue", strings=1000, min_length=4, max_length=12, rho=0.97, neutral=0.3)
    """The language, as a corpus has it; as many strings are drawn as are wanted, with its seed and those after it."""
    shuffled: bool = False
    """Whether each string's symbols come in random order: the control, with the same symbols and no rule."""
    seed: int = Field(0, ge=0)
    """Seed of the tokens that stand for symbols, and of shuffling."""

    @model_validator(mode="after")
    def _from_the_beginning(self) -> PrePretrain:
        if self.when.start or self.when.until == 1:
            raise ValueError("is read first, and the text after it: leave `when.from` out, and let `when.until` be below 1")
        return self

    def contents(self) -> list[str]:
        """The length of the stretch decides how many strings there are."""
        return [str(self.when.until)]

    def edit(self, context: InterventionContext) -> StreamEdited:
        """As many tokens of strings as the text has in this stretch.  Raises OntogenyError for fewer tokens than symbols."""
        import polars as pl

        rng, wanted = context.rng(self.seed), int(np.ceil(self.when.until * len(context.text))) + context.recipe.training.context
        known = np.setdiff1d(np.arange(len(context.tokenizer)), context.tokenizer.all_special_ids)
        alphabet = sorted(self.strings.source().alphabet)
        if len(known) < len(alphabet):
            raise OntogenyError(
                f"pre-pretrain: {self.strings.language} has {len(alphabet)} symbols, the tokenizer {len(known)} tokens"
            )
        token = dict(zip(alphabet, rng.choice(known, len(alphabet), replace=False).tolist(), strict=True))
        first = [] if context.first is None else [context.first]
        ids: list[int] = []
        starts: list[int] = []
        shown: list[str] = []
        for seed in count(self.strings.seed):
            for document in self.strings.model_copy(update={"seed": seed}).documents():
                symbols = document.text.split()
                own = [token[symbol] for symbol in (rng.permutation(symbols).tolist() if self.shuffled else symbols)]
                starts.append(len(ids))
                ids += [*first, *own]
                shown += [document.text] if len(shown) < SHOWN else []
                if len(ids) >= wanted:
                    rows = np.zeros(len(starts), dtype=ROW)
                    rows["start"] = starts
                    rows["words"] = np.array(starts) * context.text.facts["words"] // len(context.text)
                    changes = pl.DataFrame({"document": range(1, len(shown) + 1), "text": [text[:LONGEST] for text in shown]})
                    return StreamEdited(np.array(ids), changes, {"strings": len(starts), "tokens": len(ids)}, rows)
        raise AssertionError

    def change(self, context: InterventionContext, seed: int) -> Change:
        """As Course has it.  Raises OntogenyError where the strings would not last a step, or the text none."""
        steps = total_steps(context)
        if not 0 < (at := step_at(self.when.until, steps)) < steps:
            raise OntogenyError(f"interventions: pre-pretrain ends at step {at} of {steps}; the text has to begin within the run")
        return Renewed(self, context, seed)


class Renewed(Change):
    """New embeddings where the text begins, for one seed's training."""

    def __init__(self, part: PrePretrain, context: InterventionContext, seed: int):
        self.part, self.context, self.seed = part, context, seed

    def before(self, state: TrainingState, step: int, steps: int) -> None:
        """A checkpoint at that moment holds the embeddings of before."""
        if step == step_at(self.part.when.until, steps):
            model = begun(self.context, self.seed, step)
            renew(state, model, embeddings(model), True)
