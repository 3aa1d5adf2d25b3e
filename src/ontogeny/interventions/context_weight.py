"""Context-weight: places count more where the whole context says what the token before does not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ontogeny.interventions.closed_loop import Heard, Listens
from ontogeny.interventions.context import InterventionContext
from ontogeny.interventions.counter_evidence import met_in
from ontogeny.interventions.kinds import Objective
from ontogeny.interventions.over_bigrams import Counted, sparse, text_of
from ontogeny.interventions.place_loss import PlaceLoss, Said
from ontogeny.interventions.reference import asked, hashes
from ontogeny.interventions.reference import said as says
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from torch import Tensor

    from ontogeny.architectures.over_bigrams import Bigrams
    from ontogeny.training.treatment import Loss

Heed = Callable[[int, int], Collection[int]]
"""(step, steps) -> tokens."""


class ContextWeight(Listens, Objective):
    """Weighs each place's nats by 1 + strength min(D, most), over its mean in the batch; D = KL(p_R(. | context) || p2(. | token)).

    R is the network as it stands, without a gradient, or a finished model; p2 interpolated modified Kneser-Ney bigrams.  D depends
    on the context and not on what follows it, so that the best model is the text's own, unlike under `down-weight`.
    """

    kind: Literal["context-weight"] = "context-weight"
    strength: float = Field(1.0, ge=0)
    """How much more a place counts for each nat; 0 leaves the objective as it is."""
    most: float = Field(3.0, gt=0)
    """Nats beyond which a place counts no more."""
    alarms: tuple[str, ...] = ()
    """Paradigms of the recipe's suites: only places count more that come after a token h at which bigrams prefer the wrong word of
    one of their pairs, as `counter-evidence` finds them.  Left out: all places."""
    finished: tuple[Path, ...] = ()
    """Finished runs, or tables of accuracies, to calibrate warnings on: places count more only while early warning speaks of their
    paradigm, as in `closed-loop`.  Left out: all along."""
    until: float = Field(0.8, gt=0, le=1)
    """With `finished`, the share of training from which on nothing counts more: a washout."""
    meetings: int = Field(20, ge=1)
    """How many h, w and v of each of these paradigms count, the heaviest first."""
    words: Literal["all", "half"] = "all"
    """half: only of pairs whose words are not held out, as with `counter-evidence`."""
    reference: Path | None = None
    """A folder with a finished model of the same tokenizer, whose p_R it is; left out: the network's own at each step."""
    counted: Counted = "read"
    """The text whose bigrams they are: what training reads (at its beginning, where edits come and go), or the untouched text."""
    context_only: ClassVar[bool] = True

    @model_validator(mode="after")
    def _of_something(self) -> ContextWeight:
        if self.finished and not self.alarms:
            raise ValueError("has finished runs to be warned by, and no paradigm in alarms to be warned of")
        fields = type(self).model_fields
        idle = [name for name in ("at", "alpha", "until") if getattr(self, name) != fields[name].default]
        if idle and not self.finished:
            raise ValueError(f"has {', '.join(idle)}, which are about warnings; name the runs to be warned by in finished")
        return self

    def contents(self) -> list[str]:
        """The finished model's weights."""
        return hashes([self.reference] if self.reference else [])

    def loss(self, context: InterventionContext) -> Loss:
        """Weighted nats, summed; the plain loss for strength 0.  Raises OntogenyError for a model that does not fit, and for alarms
        about which bigrams are right."""
        from ontogeny.training.treatment import batch_loss

        if not self.strength:
            return batch_loss
        reference = asked(self.reference, context, self.kind) if self.reference else None
        heed = self._heeding(context) if self.finished else None
        informed = Informed(sparse(context.bigrams(text_of(self.counted, context))), self.strength, self.most, reference, heed)
        if self.alarms and not heed:
            informed.count_after(self._after(context, self.alarms))
        return informed

    def _heeding(self, context: InterventionContext) -> Heed:
        heard, tokens = Heard(self, context, context.seed, self.until), lru_cache(maxsize=None)(partial(self._heed, context))
        return lambda step, steps: tokens(heard.answers(step, steps))

    def _after(self, context: InterventionContext, alarms: Sequence[str]) -> set[int]:
        return {one.before for one in met_in(context, alarms, self.meetings, self.words == "half", self.kind)}

    def _heed(self, context: InterventionContext, alarms: Sequence[str]) -> set[int]:
        try:
            return self._after(context, alarms) if alarms else set()
        except OntogenyError as error:
            context.warn(f"seed {context.seed} weighs on as it did: {error}")
            return set()


class Informed(PlaceLoss):
    """Cross-entropy with a weight for each place, made of its context alone."""

    def __init__(self, bigrams: Bigrams, strength: float, most: float, reference: Any = None, heed: Heed | None = None):
        """`heed`: the tokens after which alone places may count more at a step; left out: those of `count_after`, or any."""
        import torch

        self.bigrams, self.strength, self.most, self.reference, self.heed = bigrams, strength, most, reference, heed
        self.after = torch.ones(len(bigrams.unigram), dtype=torch.bool)  # [vocabulary]: whether places after a token may count more

    def at(self, step: int, steps: int) -> None:
        """Hears what stands at optimiser step `step` (from 0) of `steps`."""
        if self.heed:
            self.count_after(self.heed(step, steps))

    def count_after(self, tokens: Collection[int]) -> None:
        """Lets places count more after these tokens alone; in place, so that what was compiled need not be compiled again."""
        import torch

        self.after.zero_()[torch.tensor(sorted(tokens), dtype=torch.int64)] = True

    def nats(self, nats: Tensor, said: Said) -> Tensor:
        """Each times the weight of its place."""
        from ontogeny.training.treatment import inputs_of

        inputs, own = inputs_of(said.tokens), self.reference is None
        weights = self.weights(inputs, said.logits.detach().float() if own else says(self.reference, inputs)).flatten()
        return nats * weights / weights[(said.tokens[:, 1:] >= 0).flatten()].mean()

    def weights(self, inputs: Tensor, logits: Tensor) -> Tensor:
        """The weight of each place [rows, context], before the mean is taken out, given what R says there."""
        import torch

        with torch.no_grad():
            logp = logits.log_softmax(-1)
            before = self.bigrams.to(inputs.device)(inputs)
            apart = (logp.exp() * (logp[..., : before.shape[-1]] - before)).sum(-1).clamp(min=0)
            weights: Tensor = 1 + self.strength * apart.clamp(max=self.most)
            self.after = self.after.to(inputs.device)
            return weights.where(self.after[inputs], 1.0)
