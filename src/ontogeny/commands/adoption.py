"""A run around checkpoints that somebody else trained: found by names of folders or of revisions, or listed in a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ontogeny import recipe as recipes
from ontogeny import sources, trackers, yaml_text
from ontogeny.commands.auditing import corpus_named
from ontogeny.disk import file_name, read_json, write_json
from ontogeny.display import QUIET, Display, count
from ontogeny.laboratory import Run
from ontogeny.machine import products_per_second
from ontogeny.readers import recipe_of
from ontogeny.readers.folders import suite_parts
from ontogeny.recipe import Observation
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.scoring.reading import ask
from ontogeny.sources import revisions
from ontogeny.sources.hub import Listing
from ontogeny.sources.revisions import RevisionChoice, Revisions
from ontogeny.sources.stream import code_of
from ontogeny.store import RunFolder
from ontogeny.tokens.prepare import open_or_make, told_by
from ontogeny.tokens.pretrained import Pretrained, open_tokenizer
from ontogeny.training.engine import find_device

ALL = RevisionChoice()
BYTES = 4  # of a parameter, as most checkpoints have it
TOKENS = 1.3  # in a word


@dataclass(frozen=True, slots=True)
class FromHub:
    """How checkpoints of the hub are had: which, and whether they stay."""

    choice: RevisionChoice = ALL
    keep: bool = False  # in the hub's cache, in place of a stream
    trust: str | None = None  # the revision whose own code may be run

    def __bool__(self) -> bool:
        return bool(self.choice or self.keep or self.trust)


NOTHING_SAID = FromHub()


def adopt(
    source: Path | str,
    suite: str | Sequence[str] = "blimp",
    suite_path: Path | Sequence[Path] | None = None,
    name: str | None = None,
    settings: Sequence[str] = (),
    root: Path = Path("runs"),
    display: Display = QUIET,
    names: Sequence[str] = (),
    tokenizer: str | None = None,
    hub: FromHub = NOTHING_SAID,
    corpus: str | None = None,
    dev: str | None = None,
    infinigram: Path | None = None,
) -> Run:
    """A run's folder around the checkpoints at `source`; `names`: which of them, as `sources.find` takes them.

    `tokenizer`: a folder, or a name on the hub, of the tokenizer of checkpoints that have none; kept in the run's folder.  `hub`:
    of a repository on the hub; what it said once is kept in the run, which goes by that from then on.
    `corpus`: the text that they were trained on, as `corpus_named` takes it, or `infinigram`, a local index of it; `dev`: text that
    was held out.

    Where only words are known (chck_10M), the words stand in for the steps.  What was not taken is said and kept in the lineage.
    Raises OntogenyError if nothing is found there, or more than one clock, or if two checkpoints of a seed have one step.
    """
    source, root = Path(source), Path(root)
    raw: dict[str, Any] = {"name": name or _name_of(source), "suites": _suites(suite, suite_path)}
    if tokenizer:
        raw["scoring"] = {"tokenizer": tokenizer}
    raw |= _their_text(corpus, dev, infinigram, RunFolder(root / raw["name"]).tokenizer)
    for setting in settings:
        yaml_text.override(raw, setting)
    listing = _listing(root / str(raw["name"]), display)
    found = look(source, names, hub, listing, display)
    if found.revisions and hub.trust:
        raw["scoring"] = raw.get("scoring", {}) | {"trust_remote_code": _trusted(found.revisions, hub.trust, listing)}
    recipe = _with_text_of_before(recipes.build(Observation, raw, f"opening {source}"), root)
    trackers.check(recipe.trackers)
    for part in (recipe.corpus, recipe.dev):
        told_by(cast(Any, part))  # a text that is not there is said before anything is made
    if (before := RunFolder(root / recipe.name)).adopted():
        _same_checkpoints(before, found.seeds)  # before its recipe is written
    elif found.revisions:
        display.say(reading_time(found.revisions, recipe))
    theirs = _tokenizer_of(recipe, found.seeds)
    opened = None if theirs is None or _is_kept(before, theirs) else open_tokenizer(theirs.name, theirs.revision)
    here = Run.begin(recipe, root, display)
    with here.folder.writing():
        if theirs is not None:
            open_or_make(here.folder.tokenizer, theirs.key(), lambda: opened)
        if found.revisions:
            write_json(here.folder.hub, listing.kept() | {"keep": hub.keep})
        for seed, checkpoints in found.seeds.items():
            here.folder.adopt(seed, [_placed(here.folder, seed, checkpoint) for checkpoint in checkpoints])
        here.folder.note(opened={"from": str(source), **found.lineage()})
    seeds = f", seeds {sorted(found.seeds)}" if len(found.seeds) > 1 else ""
    display.say(f"{here.folder.path}: {count(found.count, 'checkpoint')} of {source}{seeds}")
    for line in found.warnings():
        display.warn(line)
    return here


def look(source: Path, names: Sequence[str], hub: FromHub, listing: Listing, display: Display) -> sources.Found:
    """What is at `source`; of revisions on the hub the table, and what they will take.  Raises OntogenyError as `adopt` does."""
    here = source.exists() or not revisions.is_address(str(source))
    with nullcontext(listing.looked) if here else display.bar(f"looking at {source}", unit="revisions") as listing.looked:
        found = sources.find(source, names, hub.choice, listing)
    if found.revisions is None:
        if hub:
            raise OntogenyError(f"{source} is here; --revisions, --every, --seeds, --keep and --trust-remote-code are for the hub")
        return found
    display.table(*revisions.table(found.revisions))
    display.say(revisions.costs(found.revisions, hub.keep)[1])
    return found


def preview(
    source: Path,
    names: Sequence[str],
    name: str | None,
    root: Path,
    display: Display,
    hub: FromHub = NOTHING_SAID,
    suites: Sequence[dict[str, Any]] = (),
    settings: Sequence[str] = (),
) -> sources.Found:
    """What `adopt` would take: the table of revisions, what it leaves out, how long reading takes.  Nothing is written."""
    found = look(source, names, hub, _listing(root / (name or _name_of(source)), display), display)
    if found.revisions and suites:
        raw: dict[str, Any] = {"name": "preview", "suites": list(suites)}
        for setting in settings:
            yaml_text.override(raw, setting)
        try:
            display.say(reading_time(found.revisions, recipes.build(Observation, raw, "reading")))
        except OntogenyError as error:
            display.say(f"how long reading takes cannot be said ({error})")
    for line in found.warnings():
        display.warn(line)
    return found


def reading_time(found: Revisions, recipe: Observation) -> str:
    """How long it will take to read checkpoints that nothing is known of but their size, in words: a guess."""
    asked = [ask(part, recipe.scoring.pairs_per_paradigm) for part in recipe.suites]
    pairs = [pair for one in asked for pair in one.pairs]
    words = sum(len(f"{pair.context} {sentence}".split()) for pair in pairs for sentence in pair.options)
    values = sum(revisions.sizes_of(found)) / BYTES
    seconds = values * words * TOKENS / products_per_second(find_device(recipe.scoring.device))
    return (
        f"reading {count(len(pairs), 'pair')} at each takes {revisions.span(seconds)} here: a guess from the size of the weights "
        "and how fast this machine multiplies now, good to a factor of two or three; once the first is read the bar has it measured"
    )


def _listing(run: Path, display: Display) -> Listing:
    """What the hub has said to this run before."""
    folder = RunFolder(run)
    return Listing(read_json(folder.hub) if folder.hub.exists() else None, display.warn)


def _trusted(found: Revisions, revision: str, listing: Listing) -> str:
    """The commit whose own code may be run, by its repository.  Raises OntogenyError where it has none."""
    repo = found.looked[0].revision.repo
    place = f"{repo}@{listing.commit(repo, revision)}"
    if not code_of(place, listing):
        raise OntogenyError(f"{repo}@{revision} has no file of Python: there is no code to trust; leave --trust-remote-code out")
    return place


def _placed(folder: RunFolder, seed: int, checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint of the hub has a place in the run's folder, where it is while it is read."""
    return replace(checkpoint, folder=folder.checkpoint(seed, checkpoint.step)) if checkpoint.revision else checkpoint


def _suites(suite: str | Sequence[str], path: Path | Sequence[Path] | None) -> list[dict[str, Any]]:
    names = [suite] if isinstance(suite, str) else suite
    return suite_parts(names, [path] if isinstance(path, Path | str) else path or [])


def _their_text(corpus: str | None, dev: str | None, infinigram: Path | None, tokenizer: Path) -> dict[str, Any]:
    """What is known of the text that the checkpoints were trained on, as a recipe says it."""
    if corpus and infinigram:
        raise OntogenyError("--corpus and --infinigram both name the text that the checkpoints were trained on; say one")
    if dev and not (corpus or infinigram):
        raise OntogenyError("--dev is held-out text beside that of --corpus or --infinigram; say what they were trained on too")
    found = {
        name: corpus_named(text, f"--{name}").model_dump(mode="json") for name, text in (("corpus", corpus), ("dev", dev)) if text
    }
    if infinigram:
        found["corpus"] = {"kind": "infinigram", "path": str(infinigram), "tokenizer": str(tokenizer)}
    return found


def _with_text_of_before(recipe: Observation, root: Path) -> Observation:
    """The recipe; of a run that is there, and now opened without its text, with that text."""
    folder = RunFolder(root / recipe.name)
    if recipe.corpus is not None or not folder.adopted():
        return recipe
    before = recipe_of(folder)
    return recipe.model_copy(update={name: getattr(before, name) for name in ("corpus", "dev", "held_out")})


def _tokenizer_of(recipe: Observation, seeds: Mapping[int, list[Checkpoint]]) -> Pretrained | None:
    """The tokenizer that the run keeps: one that is named, or where their text is known the last one's, for that of all."""
    if recipe.scoring.tokenizer:
        return Pretrained(name=recipe.scoring.tokenizer)
    if recipe.corpus is None:
        return None
    last = seeds[min(seeds)][-1]
    return (
        Pretrained(name=last.revision.repo, revision=last.revision.commit) if last.revision else Pretrained(name=str(last.folder))
    )


def _is_kept(folder: RunFolder, tokenizer: Pretrained) -> bool:
    key = folder.tokenizer / "key.json"
    return key.exists() and read_json(key)["key"] == tokenizer.key()


def _same_checkpoints(folder: RunFolder, found: dict[int, list[Checkpoint]]) -> None:
    """A run's scores belong to its checkpoints: more may come, none may be another or go."""
    for seed in folder.seeds():
        new = {checkpoint.step: checkpoint.revision or checkpoint.folder for checkpoint in found.get(seed, [])}
        for old in folder.checkpoints(seed):
            if new.get(old.step) != (old.revision or old.folder):
                was = old.revision or old.folder
                raise OntogenyError(
                    f"{folder.path} is a run around other checkpoints: step {old.step} of seed {seed} was {was}, "
                    f"now {new.get(old.step, 'nothing')}; use --name for a run of its own"
                )


def _name_of(source: Path) -> str:
    """A run's name: the source's with `-` for signs; one that has other letters, or begins with a sign, as `file_name` has it.

    Of a repository on the hub its own, without owner and pattern.
    """
    if not source.exists() and revisions.is_address(str(source)):
        source = Path(re.sub(r"\{.*?\}", "", str(source).partition("@")[0]).rstrip("-_"))
    own = source.resolve().stem if source.is_file() else source.resolve().name
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", own)
    return plain if own.isascii() and plain[:1].isalnum() else file_name(own, own)
