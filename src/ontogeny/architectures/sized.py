"""The shape that all architectures share: a kind, named sizes, and options laid over a size."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from ontogeny import registry
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError

Sizes = dict[str, dict[str, Any]]

MOST_LAYERS, MOST_WIDE = 10_000, 2**31  # more than any model has: building it would not end, or not fit into any memory


class Sized(Kind):
    """An architecture in named sizes.

    A subclass says its `kind` and `size`, has a table `sizes`, and hands on the classes of config and model.
    """

    size: str
    """A named size."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Any field of the model's config, laid over the size."""

    @field_validator("options")
    @classmethod
    def _options_are_kept(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        known = {name: value for size in cls.sizes.values() for name, value in size.items()}
        for name, value in options.items():
            if not _plain(value):
                raise ValueError(f"has {name}: {value}; a recipe keeps texts, finite numbers, true, false, null, and lists of them")
            if told := unlike(value, known.get(name), name):
                raise ValueError(f"has {name}: {value}; {told}")
        return options

    sizes: ClassVar[Sizes]
    positions: ClassVar[str | None] = "max_position_embeddings"  # the config's word for the longest sequence; None: there is none

    def classes(self) -> tuple[type[Any], type[Any]]:
        """The classes of config and model, imported when asked for."""
        raise NotImplementedError

    def special(self, bos: int | None, pad: int | None) -> dict[str, Any]:
        """The config's special tokens."""
        return {"bos_token_id": bos, "eos_token_id": bos, "pad_token_id": pad}

    def rows(self, vocabulary: int) -> int:
        """Rows that the embeddings need for a tokenizer of `vocabulary` tokens."""
        return vocabulary

    def build(self, vocabulary: int, context: int, bos: int | None, pad: int | None) -> Any:
        """A fresh model, initialised from torch's global generator.

        Raises OntogenyError for an option that the config lacks, or a vocabulary or context that does not fit.
        """
        config, model = self.classes()
        settings = self.settings(config, vocabulary, context, bos, pad)
        try:
            return model(config(**settings))
        except OntogenyError:
            raise
        except Exception as error:  # of many kinds: one for each way in which options do not go together
            said = str(error).strip().splitlines()[-1].strip()
            raise OntogenyError(f"model.options cannot be built ({type(error).__name__}: {said})") from error

    def settings(self, config: type[Any], vocabulary: int, context: int, bos: int | None, pad: int | None) -> dict[str, Any]:
        """The config's fields: the tokenizer's, then the size's, then the options.  Raises OntogenyError as `build` does."""
        known = {name: value for name, value in config().to_dict().items() if not name.startswith("_")}
        for name, value in self.options.items():
            if name not in known:
                raise OntogenyError(f"model.options.{name} is no field of {config.__name__}; {registry.nearest(name, list(known))}")
            if told := unlike(value, known[name], name):
                raise OntogenyError(f"model.options.{name} is {value}; {told}")
        ours = {"vocab_size": self.rows(vocabulary)} | ({self.positions: context} if self.positions else {})
        found = {**ours, **self.special(bos, pad), **self.sizes[self.size], **self.options}
        check_vocabulary(found["vocab_size"], self.rows(vocabulary))
        if self.positions and (found[self.positions] or 0) < context:
            raise OntogenyError(
                f"model.options.{self.positions} is {found[self.positions]}, "
                f"but training.context is {context} tokens; make the first at least as large"
            )
        return found


def _plain(value: Any) -> bool:
    """True for what a recipe is written down as and read back the same."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and _plain(inner) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def unlike(value: Any, usual: Any, name: str) -> str | None:
    """What to say of an option that is of another kind than its usual value, or a size or probability that cannot be; else None."""
    if isinstance(usual, bool) or not isinstance(usual, int | float):
        return "it is true or false" if isinstance(usual, bool) and not isinstance(value, bool) else None
    if isinstance(value, bool | str | list | dict) or (isinstance(usual, int) and isinstance(value, float)):
        return "it is a whole number" if isinstance(usual, int) else "it is a number"
    if "drop" in name and isinstance(value, int | float) and not 0 <= value <= 1:
        return "it is a probability, from 0 to 1"
    size = isinstance(usual, int) and usual > 0 and not name.endswith("_token_id")
    most = MOST_LAYERS if "layers" in name else MOST_WIDE
    return f"it is a size, 1 or more, and at most {most:,}" if size and isinstance(value, int) and not 1 <= value <= most else None


def check_vocabulary(rows: int, vocabulary: int) -> None:
    """Raises OntogenyError unless the model has a row for each token and no more than the rounding to 64 that is customary."""
    most = -(-vocabulary // 64) * 64
    if not vocabulary <= rows <= most:
        raise OntogenyError(
            f"the model's vocabulary is {rows:,} rows, but the tokenizer has {vocabulary:,} tokens: "
            f"model.options.vocab_size must lie between {vocabulary} and {most} (or be left out)"
        )
