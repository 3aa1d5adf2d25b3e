"""The loss on held-out text, which every training whose text is known is read with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from ontogeny.instruments.instrument import Column, DoesNotApply, Instrument
from ontogeny.instruments.subject import Subject
from ontogeny.pages.panel import Panel
from ontogeny.recipe import Observation, Recipe, Training
from ontogeny.tokens.rows import rows_of


class DevLoss(Instrument):
    """Mean nats a token on a run's held-out text, of the next token, or of a masked model's own objective."""

    NAME: ClassVar[str] = "loss"
    needs: ClassVar[tuple[str, ...]] = ("text",)
    reads: ClassVar[tuple[str, ...]] = ("causal", "masked")
    of_broken_weights: ClassVar[bool] = True

    kind: Literal["loss"] = "loss"
    tokens: int = Field(131_072, ge=1)
    """Tokens of held-out text that it is measured on, in whole rows spread evenly over it."""
    context: int = Field(128, ge=2)
    """Tokens in a row."""
    unit: Literal["block", "document"] = "block"
    """What a row is, as in training."""

    @classmethod
    def of(cls, recipe: Observation) -> DevLoss:
        """As a recipe's training asks for it; of somebody else's training, as it is by default."""
        if not isinstance(recipe, Recipe):
            return cls()
        training = recipe.training
        return cls(tokens=training.dev_tokens, context=training.context, unit=training.unit)

    @property
    def columns(self) -> Mapping[str, Column]:
        """One: `dev`."""
        return {"dev": Column(says="mean negative log-likelihood of held-out text", unit="nats a token")}

    def read(self, subject: Subject) -> pl.DataFrame:
        """One row.  Raises OntogenyError if the text is shorter than one row."""
        from ontogeny.training.loop import dev_loss
        from ontogeny.training.treatment import batch_loss

        recipe = subject.context.recipe
        if subject.kind == "masked" and not isinstance(recipe, Recipe):
            raise DoesNotApply("what somebody else's masked model minimised is not known")
        context = min(self.context, subject.limit)
        asked = Training(dev_tokens=self.tokens, context=context)
        objective = getattr(recipe.model, "loss", batch_loss) if isinstance(recipe, Recipe) else batch_loss
        rows = rows_of(subject.text("dev"), self.unit, context)
        return pl.DataFrame({"dev": [dev_loss(subject.model, rows, asked, subject.device, objective)]})

    def panels(self) -> tuple[Panel, ...]:
        """None: it is drawn beside the training's own loss."""
        return ()
