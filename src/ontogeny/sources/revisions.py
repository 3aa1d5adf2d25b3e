"""Which revisions of repositories on the hub are checkpoints, in what order, and what reading them takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

from ontogeny.disk import content_key, human_size
from ontogeny.display import count as so_many
from ontogeny.display import some
from ontogeny.records import Checkpoint, OntogenyError, Revision
from ontogeny.sources.clock import Candidate, end_to_end, in_order, several_clocks
from ontogeny.sources.folders import NO_MODEL, NO_MOMENT, NotTaken
from ontogeny.sources.hub import HubFile, Listing, about, close_to, tokenizer_of, weights_hash, weights_of
from ontogeny.sources.names import CLOCKS, CheckpointName, parse, understand

# OWNER/NAME, perhaps with {1..9} in it and @PATTERN behind it
ADDRESS = re.compile(r"[A-Za-z0-9_][\w.-]*/[\w.{},-]+(?:@.+)?")
NO_WEIGHTS = "without weights"
LENT = "tokenizer of main"
NO_TOKENIZER = "no tokenizer"
PICKLED = "pickled weights"
OTHER_INGREDIENT = "another ingredient of its stage, a branch of a tree"
PACE = 12.5e6  # bytes a second, 100 Mbit/s


@dataclass(frozen=True, slots=True)
class RevisionChoice:
    """Which revisions are wanted, and which repositories besides."""

    names: tuple[str, ...] = ()  # families of names or patterns, as `names.understand` takes them
    revisions: tuple[str, ...] = ()  # of branches, such as step*
    every: int = 1  # of each seed every n-th, its first and its last
    seeds: tuple[str, ...] = ()  # repositories of other seeds, such as EleutherAI/pythia-14m-seed{1..9}

    def __bool__(self) -> bool:
        return bool(self.revisions or self.seeds or self.every != 1)


@dataclass(frozen=True, slots=True)
class Looked:
    """A revision that was looked at: what its name tells, what it holds, and where what it lacks comes from."""

    candidate: Candidate
    revision: Revision
    files: list[Bringing]
    weights: str | None  # their hash
    notes: list[str]  # what is to be said of it
    taken: bool

    @property
    def size(self) -> int:
        """Bytes to bring."""
        return sum(one.file.size for one in self.files)


@dataclass(frozen=True, slots=True)
class Bringing:
    """A file to bring, and the commit it comes from."""

    repo: str
    commit: str
    file: HubFile


@dataclass(frozen=True, slots=True)
class Revisions:
    """What was found: checkpoints by seed, everything that was looked at, and what a person should hear."""

    seeds: dict[int, list[Checkpoint]]
    families: list[str]
    clock: str
    looked: list[Looked]
    not_taken: list[NotTaken]
    notes: list[str] = field(default_factory=list)


def is_address(source: str) -> bool:
    """True for what may name a repository on the hub, perhaps with a pattern: OWNER/NAME@step*."""
    return bool(ADDRESS.fullmatch(source))


def look(sources: Sequence[str], choice: RevisionChoice, listing: Listing) -> Revisions:
    """The checkpoints among the revisions of repositories.  Raises OntogenyError where there is none, or more than one clock."""
    addresses = [_split(one) for source in (*sources, *choice.seeds) for one in expand(source)]
    candidates: list[Candidate] = []
    refs: dict[str, str] = {}
    not_taken: list[NotTaken] = []
    for repo, pattern in dict.fromkeys(addresses):
        patterns = [*([pattern] if pattern else []), *choice.revisions] or [of_all for _, of_all in addresses[:1] if of_all]
        own, left = _understood(repo, patterns, choice.names, listing)
        refs |= {str(candidate.folder): commit for candidate, commit in own}
        several = f"{repo}@" if len(addresses) > 1 else ""
        candidates += [replace(candidate, label=several + candidate.label) for candidate, _ in own]
        not_taken += [NotTaken(several + one.label, one.reason) for one in left]
    return arrange(sources[0], candidates, refs, not_taken, choice, listing)


def arrange(
    source: str,
    candidates: list[Candidate],
    refs: dict[str, str],
    not_taken: list[NotTaken],
    choice: RevisionChoice,
    listing: Listing,
) -> Revisions:
    """Candidates in order of one clock, each looked into.  `refs`: the commit of each, by REPO@NAME."""
    if trouble := several_clocks(candidates, choice.names):
        raise OntogenyError(f"{source} {trouble}")
    families = list(dict.fromkeys(candidate.told.family for candidate in candidates))
    clock = candidates[0].told.clock or "step"
    chosen, others = _one_ingredient(candidates)
    placed, notes = end_to_end(Path(source), chosen)
    placed = list(_every(placed, choice.every))
    if choice.every > 1:
        notes.append(
            f"of each seed one in {choice.every} of its revisions, with its first and its last: {len(placed)} of {len(chosen)}"
        )
    if clock != "step":
        notes = [f"names of checkpoints tell no optimiser steps; in place of steps stand {CLOCKS[clock]}", *notes]
    looked = [_look_into(candidate, refs[str(candidate.folder)], listing) for candidate in placed]
    not_taken = [
        *not_taken,
        *(NotTaken(one.label, OTHER_INGREDIENT) for one in others),
        *(NotTaken(one.candidate.label, one.notes[0]) for one in looked if not one.taken),
        *_heads(looked, listing),
    ]
    taken = {str(one.candidate.folder): one for one in looked if one.taken}
    if not taken:
        raise OntogenyError("\n".join([f"{source}: no revision holds a model", *(f"{one}" for one in not_taken)]))
    ordered = in_order(Path(source), [one.candidate for one in taken.values()])
    seeds = {seed: [replace(c, revision=taken[str(c.folder)].revision) for c in own] for seed, own in ordered.items()}
    return Revisions(seeds, families, clock, looked, not_taken, [*notes, *_told(list(taken.values()))])


# --- names --------------------------------------------------------------------------------------------------------


def expand(text: str) -> list[str]:
    """`a{1..3}` is a1, a2, a3, and `{x,y}` x, y, as a shell has it.

    >>> expand("m-seed{1..3}"), expand("m-{160m,1b}")
    (['m-seed1', 'm-seed2', 'm-seed3'], ['m-160m', 'm-1b'])
    """
    match = re.search(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}", text)
    if not match:
        return [text]
    first, last, words = match.groups()
    inside = words.split(",") if words else _counted(int(first), int(last))
    return [whole for word in inside for whole in expand(text[: match.start()] + word + text[match.end() :])]


def _counted(first: int, last: int) -> list[str]:
    return [str(n) for n in (range(first, last + 1) if first <= last else range(first, last - 1, -1))]


def _split(address: str) -> tuple[str, str]:
    repo, _, pattern = address.partition("@")
    if not is_address(address) or repo.count("/") != 1:
        raise OntogenyError(f"{address}: a repository on the hub is OWNER/NAME, perhaps with a pattern behind it: OWNER/NAME@step*")
    return repo, pattern


def _understood(
    repo: str, patterns: list[str], wanted: Sequence[str], listing: Listing
) -> tuple[list[tuple[Candidate, str]], list[NotTaken]]:
    """Candidates of one repository with their commits, and its branches that are none, but for main, which is looked at later."""
    branches = listing.branches(repo)
    if not branches:
        raise OntogenyError(f"{repo} is empty: it has no branch")
    chosen = [name for name in branches if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        raise OntogenyError(f"{repo} has no revision {' or '.join(patterns)}; {close_to(patterns[0], branches)}")
    told, commits = understand(chosen, wanted), branches
    name, itself = repo.split("/")[1], {}
    if not told and not patterns and (itself := understand([name], wanted)):
        told, commits = itself, {name: branches.get("main", "")}
    if not told:
        branch = chosen[0] if patterns and len(chosen) == 1 else "main"
        commits = listing.commits(repo, branch) if branch in branches else {}
        told = understand(commits, wanted)
    if not told:
        raise OntogenyError(
            f"{repo}: no revision tells a moment of training ({len(branches)} branches: {some(sorted(branches))}); say how names "
            "are to be read (--pattern 'iter_{step}'), or list them in a table of repo, revision, step"
        )
    seed = (parse(name) or CheckpointName("")).seed
    moments = [Candidate(one, Path(f"{repo}@{one}"), moment, moment.seed or seed or 0) for one, moment in told.items()]
    left = [NotTaken(one, NO_MOMENT) for one in chosen if one not in told and one != "main"] if commits is branches else []
    return [(one, commits[one.label]) for one in moments], left


def _one_ingredient(candidates: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Of a stage's ingredients, which are trainings beside one another, the first; and the others."""
    first: dict[tuple[int, int | None], int] = {}
    for one in candidates:
        if one.told.ingredient is not None:
            place = one.seed, one.told.stage
            first[place] = min(first.get(place, one.told.ingredient), one.told.ingredient)
    chosen = [one for one in candidates if one.told.ingredient == first.get((one.seed, one.told.stage), one.told.ingredient)]
    return chosen, [one for one in candidates if one not in chosen]


def _every(candidates: list[Candidate], every: int) -> Iterator[Candidate]:
    for _, group in groupby(sorted(candidates, key=lambda c: (c.seed, c.told.at)), key=lambda c: c.seed):
        own = list(group)
        yield from (one for place, one in enumerate(own) if place % every == 0 or place == len(own) - 1)


# --- what they hold -----------------------------------------------------------------------------------------------


def _look_into(candidate: Candidate, commit: str, listing: Listing) -> Looked:
    repo, _, name = str(candidate.folder).partition("@")
    tree = listing.tree(repo, commit)
    files, notes = files_of(repo, commit, listing), []
    if lacking := NO_WEIGHTS if not weights_of(tree) else "" if any(file.path == "config.json" for file in tree) else NO_MODEL:
        notes = [lacking]
    elif not tokenizer_of(tree):
        notes.append(LENT if any(one.commit != commit for one in files) else NO_TOKENIZER)
    if not lacking and any(file.path.endswith(".bin") for file in weights_of(tree)):
        notes.append(PICKLED)
    content = content_key(sorted((one.file.path, one.file.id) for one in files))
    return Looked(candidate, Revision(repo, name, commit, content), files, weights_hash(tree), notes, not lacking)


def files_of(repo: str, commit: str, listing: Listing) -> list[Bringing]:
    """What is read of a commit, by its own tree; a tokenizer that it lacks is main's."""
    tree = listing.tree(repo, commit)
    files = [Bringing(repo, commit, file) for file in dict.fromkeys([*about(tree), *weights_of(tree)])]
    main = listing.branches(repo).get("main")
    if tokenizer_of(tree) or not weights_of(tree) or main is None:
        return files
    own = {one.file.path for one in files}
    return files + [Bringing(repo, main, file) for file in tokenizer_of(listing.tree(repo, main)) if file.path not in own]


def _heads(looked: list[Looked], listing: Listing) -> Iterator[NotTaken]:
    """`main` of each repository whose checkpoints are other branches or commits: mostly the last of them once more."""
    repos = dict.fromkeys(one.revision.repo for one in looked)
    for repo in repos:
        own = [one for one in looked if one.revision.repo == repo and one.taken]
        main = listing.branches(repo).get("main")
        listed = {one.revision.commit for one in own if one.revision.name not in listing.branches(repo)}
        if main is None or not own or main in listed or any(one.revision.name == "main" for one in own):
            continue
        last = max(own, key=lambda one: one.candidate.told.at)
        same = main == last.revision.commit or weights_hash(listing.tree(repo, main)) == (last.weights or "unknown")
        yield NotTaken("main" if len(repos) == 1 else f"{repo}@main", f"the same as {last.revision.name}" if same else NO_MOMENT)


def _told(taken: list[Looked]) -> list[str]:
    """What a person should hear of all of them together."""
    found = [f"byte for byte the same: {' = '.join(names)}" for names in twins(taken).values()]
    for note, meaning in (
        (LENT, "without a tokenizer, read with main's"),
        (NO_TOKENIZER, "without a tokenizer, and main has none either; name one: --tokenizer FOLDER"),
        (PICKLED, "with pickled weights (pytorch_model.bin), of which only tensors are read (weights_only)"),
    ):
        if those := [one.candidate.label for one in taken if note in one.notes]:
            found.append(f"{meaning}: {some(those)}")
    return found


def twins(looked: Iterable[Looked]) -> dict[str, list[str]]:
    """Names of revisions that are the same in every byte that is read, by what they have in common."""
    found: dict[str, list[str]] = {}
    for one in looked:
        found.setdefault(one.revision.content, []).append(one.candidate.label)
    return {content: names for content, names in found.items() if len(names) > 1}


# --- the table ----------------------------------------------------------------------------------------------------


def table(found: Revisions) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of what was looked at; columns that nothing fills are left out.  Those not understood come last."""
    first: dict[str, str] = {}
    rows = []
    for one in sorted(found.looked, key=lambda one: (one.candidate.seed, one.candidate.told.at)):
        told, notes = one.candidate.told, list(one.notes)
        if one.taken and (twin := first.setdefault(one.revision.content, one.candidate.label)) != one.candidate.label:
            notes.append(f"the same as {twin}")
        numbers = [f"{n:,.0f}" if n is not None else "" for n in (told.step, told.tokens, told.words, told.ordinal, told.stage)]
        rows.append(
            [one.revision.repo, one.revision.name, str(one.candidate.seed), *numbers, human_size(one.size), "; ".join(notes)]
        )
    known = {one.candidate.label for one in found.looked}
    rows += [["", one.label, "", "", "", "", "", "", "", one.reason] for one in found.not_taken if one.label not in known]
    heads = ["repository", "revision", ">seed", ">step", ">tokens", ">words", ">ordinal", ">stage", ">size", ""]
    used = [place for place in range(len(heads)) if place == 1 or len({row[place] for row in rows} - {""}) > (place in (0, 2, 7))]
    return [heads[place] for place in used], [[row[place] for place in used] for row in rows]


def sizes_of(found: Revisions) -> list[int]:
    """Bytes of every checkpoint that is not the same as another."""
    return list({one.revision.content: one.size for one in found.looked if one.taken}.values())


def costs(found: Revisions, keep: bool) -> tuple[int, str]:
    """The most bytes that lie on the disk at once; and that, the whole download and its time in words."""
    sizes = sizes_of(found)
    count = sum(one.taken for one in found.looked)
    alike = f", {count - len(sizes)} of them the same as another" if len(sizes) < count else ""
    time = span(sum(sizes) / PACE)
    most = sum(sizes) if keep else sum(sorted(sizes)[-2:])
    held = f"all stay in the hub's cache ({human_size(most)})" if keep else f"at most two on the disk at once ({human_size(most)})"
    return most, (
        f"{so_many(count, 'checkpoint')}{alike}: {human_size(sum(sizes))} to bring ({time} at 100 Mbit/s), {held}; "
        "reading comes on top"
    )


def span(seconds: float) -> str:
    """For people: less than a minute, 1 minute, 5 hours."""
    if seconds < 60:
        return "less than a minute"
    return so_many(round(seconds / 60), "minute") if seconds < 7200 else so_many(round(seconds / 3600), "hour")
