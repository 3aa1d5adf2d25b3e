"""What instruments may ask of a run beside the checkpoint: the same at all of its checkpoints, made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ontogeny import disk
from ontogeny.display import Display
from ontogeny.instruments.instrument import Instrument
from ontogeny.ngrams import ORDER
from ontogeny.ngrams.counted import Counted, TextCounts
from ontogeny.recipe import Observation, Recipe
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.store import RunFolder, score_key

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ontogeny.scoring.reading import SuitePairs
    from ontogeny.tokens.prepare import TokenisedText
    from ontogeny.tokens.token_store import TokenStore

SPLITS = ("train", "dev")


class ReadingContext:
    """One run, as its instruments see it.

    A need is `text` (the run's own text as tokens), `pairs` (its suites), `scores` (of the same checkpoint, all pairs), `ngrams`
    (counts of its training text), or the name of another of its instruments.
    """

    def __init__(
        self,
        folder: RunFolder,
        recipe: Observation,
        device: torch.device,
        suites: Callable[[], list[SuitePairs]],
        text: Callable[[], TokenisedText],
        instruments: Callable[[], list[Instrument]],
        display: Display,
    ):
        self.folder = folder
        self.recipe = recipe
        self.device = device
        self.display = display
        self.bring: Callable[[Checkpoint], None] = lambda checkpoint: None  # to where it is read, if it lies elsewhere
        self._suites, self._text, self._instruments = suites, text, instruments
        self._kept: dict[Any, Any] = {}

    @property
    def knows_text(self) -> bool:
        """True where the text that the model was trained on is known: of our own trainings, and of others' if it was given."""
        return self.recipe.corpus is not None

    @property
    def limit(self) -> int | None:
        """Tokens that the run's own model was trained with; None where only the model's config tells."""
        return self.recipe.training.context if isinstance(self.recipe, Recipe) else None

    def ends(self, seed: int) -> int:
        """The step at which a seed's training ends; of somebody else's, that of the last checkpoint there is."""
        from ontogeny.training.session import training_plan

        recipe = self.recipe
        if isinstance(recipe, Recipe):
            return self.once("ends", lambda: training_plan(self.folder, recipe, self._text()).steps)  # type: ignore[no-any-return]
        return max((one.step for one in self.folder.checkpoints(seed)), default=0)

    @property
    def suites(self) -> list[SuitePairs]:
        """The run's suites, read."""
        return self._suites()

    def suite(self, name: str) -> SuitePairs:
        """One of them.  Raises OntogenyError that names the others."""
        found = {suite.name: suite for suite in self.suites}
        if name not in found:
            raise OntogenyError(f"{self.folder.path} has no suite {name!r}; it has {', '.join(found)}")
        return found[name]

    def text(self, split: str = "dev") -> TokenStore:
        """The run's own text as tokens: train or dev.  Raises OntogenyError where it is not known, or was changed."""
        if split not in SPLITS:
            raise OntogenyError(f"a run's text is train or dev, not {split!r}")
        found: TokenStore = self.once(("text", split), lambda: getattr(self._text(), split).checked())
        return found

    @cached_property
    def counts(self) -> TextCounts:
        """The n-grams of the run's training text.  Raises OntogenyError where it is not known."""
        return TextCounts(self.folder, self.recipe, self._text(), self.display)

    def ngrams(self, level: str = "token", order: int = ORDER) -> Counted:
        """The same, one level; where they were not counted to this order yet, now, to the one that all evidence is made with."""
        return self.counts.level(level, order if self.counts.before(level, order) else max(order, ORDER))

    @cached_property
    def unigram(self) -> NDArray[np.float64]:
        """Log-probability (nats) of each token of the vocabulary by its count in the training text, one added to each."""
        ids, size = self.text("train").ids, self.text("train").facts["vocabulary"]
        counts = np.bincount(np.asarray(ids), minlength=size) + 1.0
        return np.asarray(np.log(counts / counts.sum()))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What is the same at all checkpoints and takes long to make: made once for each key."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def key_of(self, need: str, who: str) -> str:
        """The content key of something that an instrument needs.  Raises OntogenyError that names it if the run has none."""
        if need in ("text", "ngrams"):
            if not self.knows_text:
                raise OntogenyError(
                    f"the instrument {who} needs the text that a model was trained on, and {self.folder.path} is a run around "
                    "somebody else's checkpoints, whose text is not known; leave it out, or give the text: "
                    "ontogeny open CHECKPOINTS --corpus FOLDER"
                )
            splits = SPLITS if need == "text" else SPLITS[:1]
            return disk.content_key([self.text(split).facts["key"] for split in splits])
        if need == "pairs":
            return disk.content_key([suite.key for suite in self.suites])
        if need == "scores":
            asked = self.folder.scored_how(self.recipe.scoring)
            return disk.content_key([score_key(suite.key, self.recipe.bos, *asked) for suite in self.suites])
        for other in self._instruments():
            if other.name == need and need != who:
                return other.key(self)
        raise OntogenyError(f"the instrument {who} needs {need!r}, which this run does not have: list it under instruments")
