"""SyntaxGym's suites: items of conditions in regions, right if all that is predicted of their surprisals holds (Hu et al. 2020)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ontogeny.disk import content_key, missing
from ontogeny.display import some
from ontogeny.files import characters, json_file
from ontogeny.recipe import Kind
from ontogeny.records import OntogenyError, Pair
from ontogeny.registry import nearest
from ontogeny.store import file_hash
from ontogeny.suites.formulas import RegionReference, comparisons, parse
from ontogeny.suites.jsonl import value
from ontogeny.suites.table import once


class SyntaxGym(Kind):
    """SyntaxGym's suites, one JSON file each: regions, conditions, formulas.  A file is a paradigm.

    A region is scored after all that stands before it in its condition.  An item is right if all predictions hold; a guesser is one
    whose sums of regions are independent and alike.
    """

    kind: Literal["syntaxgym"] = "syntaxgym"
    path: Path
    """A suite's .json file, or a folder of them."""

    @property
    def name(self) -> str:
        """The suite's folder under a run's scores."""
        return self.kind

    def pairs(self) -> Iterator[Pair]:
        """Every item, file by file.

        Raises OntogenyError that names file and item for a formula that is none, or is of a condition or region that is not there.
        """
        seen: dict[tuple[str, str], str] = {}
        for file in self.files():
            suite = json_file(file)
            name = str(value(value(suite, "meta", str(file)), "name", str(file)))
            asked = [comparison for formula in _formulas(suite, file) for comparison in formula]
            for item in value(suite, "items", str(file)):
                place = f"{file}: item {value(item, 'item_number', f'{file}: an item')}"
                yield once(_pair(name, str(item["item_number"]), _regions(item, place), asked, place), place, seen)
        if not seen:
            raise OntogenyError(f"suite syntaxgym: {self.path} holds no item")

    def human(self) -> dict[str, float]:
        """Published human agreement by paradigm; here none."""
        return {}

    def fingerprint(self) -> str:
        """A hash of the files."""
        return content_key(self.kind, [file_hash(file) for file in self.files()])

    def left_out(self) -> list[str]:
        """Files of the folder that are no suites."""
        folder = self.path.expanduser()
        strange = sorted(file.name for file in folder.iterdir() if file.suffix != ".json") if folder.is_dir() else []
        return [f"left out of {folder}, no .json: {some(strange)}"] if strange else []

    def files(self) -> list[Path]:
        """The suites' files.  Raises OntogenyError where there is none."""
        path = self.path.expanduser()
        if not path.exists():
            raise missing(path, f"suite {self.kind}")
        found = [path] if path.is_file() else sorted(path.glob("*.json"))
        if not found:
            raise OntogenyError(f"suite syntaxgym: no .json file in {path}")
        return found


def _formulas(suite: dict[str, Any], file: Path) -> Iterator[list[Counter[RegionReference]]]:
    for number, prediction in enumerate(value(suite, "predictions", str(file)), 1):
        try:
            yield comparisons(parse(value(prediction, "formula", str(file))))
        except OntogenyError as error:
            raise OntogenyError(f"{file}: prediction {number}: {error}") from None


def _regions(item: dict[str, Any], place: str) -> dict[str, list[tuple[str, str]]]:
    """Number and text of the regions of each condition."""
    found: dict[str, list[tuple[str, str]]] = {}
    for condition in value(item, "conditions", place):
        regions = value(condition, "regions", place)
        texts = [(str(value(region, "region_number", place)), value(region, "content", place)) for region in regions]
        name = str(value(condition, "condition_name", place))
        found[name] = [(number, " ".join(characters(str(text), "content", place).split())) for number, text in texts]
    return found


def _pair(
    name: str, number: str, regions: dict[str, list[tuple[str, str]]], asked: list[Counter[RegionReference]], place: str
) -> Pair:
    """The item: an option for each region that formulas speak of, in the order in which they do; empty ones have surprisal 0."""
    spoken = dict.fromkeys(region for comparison in asked for region, times in comparison.items() if times)
    texts = {region: _text(region, regions, place) for region in spoken}
    there = [region for region, (_, text) in texts.items() if text]
    contexts, options = zip(*(texts[region] for region in there), strict=True) if there else ((), ())
    # a sum of surprisals below 0 is a sum of log-probabilities above 0
    predictions = tuple(tuple(comparison[region] for region in there) for comparison in asked)
    for prediction in predictions:
        if not (prediction and min(prediction) < 0 < max(prediction)):
            raise OntogenyError(f"{place}: a formula compares a region that is empty there, or a sum with nothing")
    return Pair(name, number, options[0], options[1], more=options[2:], contexts=contexts, predictions=predictions)


def _text(region: RegionReference, regions: dict[str, list[tuple[str, str]]], place: str) -> tuple[str, str]:
    """What stands before a region, and what is in it."""
    if region.condition not in regions:
        raise OntogenyError(f"{place}: {region} is of no condition here; {nearest(region.condition, list(regions))}")
    own = regions[region.condition]
    numbers = [number for number, _ in own]
    if region.number == "*":
        return "", " ".join(text for _, text in own if text)
    if region.number not in numbers:
        raise OntogenyError(f"{place}: {region} is of no region here; condition {region.condition!r} has {', '.join(numbers)}")
    at = numbers.index(region.number)
    return " ".join(text for _, text in own[:at] if text), own[at][1]
