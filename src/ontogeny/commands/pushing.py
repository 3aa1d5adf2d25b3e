"""A run's checkpoints as revisions of a repository on the hub, with a model card that holds its verdicts and its map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from ontogeny import disk
from ontogeny.display import Display, some
from ontogeny.laboratory import Run
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.sources.hub import HubFile, about, weights_of

OURS = ("DONE", "ontogeny.json")  # files of a checkpoint that are of use in its run alone
MAP = "map.png"


def name_of(checkpoint: Checkpoint) -> str:
    """What a checkpoint is called as a revision: by whole millions of words as BabyLM has it, else by its step.

    >>> name_of(Checkpoint(813, Path("."), words=1_000_400.0)), name_of(Checkpoint(64, Path(".")))
    ('chck_1M', 'step-64')
    """
    millions = (checkpoint.words or 0) / 1e6
    return (
        f"chck_{round(millions)}M" if millions >= 0.5 and abs(millions / round(millions) - 1) <= 0.05 else f"step-{checkpoint.step}"
    )


def revisions(checkpoints: list[Checkpoint]) -> dict[str, Checkpoint]:
    """Name to checkpoint; of several that would have one name the nearest to its words has it, others their steps'."""
    alike: dict[str, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        alike.setdefault(name_of(checkpoint), []).append(checkpoint)
    nearest = {min(own, key=_beside).step for own in alike.values()}
    return {name_of(one) if one.step in nearest else f"step-{one.step}": one for one in checkpoints}


def _beside(checkpoint: Checkpoint) -> float:
    """How many words a checkpoint is from whole millions."""
    words = checkpoint.words or 0
    return abs(words - round(words / 1e6) * 1e6)


def check_here(checkpoints: list[Checkpoint]) -> None:
    """Raises OntogenyError for checkpoints whose files are not on the disk, as those of a stream are not once they are read."""
    if gone := [one.step for one in checkpoints if not one.folder.is_dir()]:
        raise OntogenyError(
            f"of {len(gone)} checkpoints (steps {some([str(step) for step in gone])}) the files are not on the disk "
            f"({checkpoints[0].folder.parent}); "
            "what came from the hub in a stream goes once it is read: open it with --keep under another --name"
        )


def push(run: Run, repo: str, display: Display, seed: int | None = None, private: bool = False, endpoint: str | None = None) -> str:
    """Uploads every checkpoint of a seed as a branch, the last one as main too, with the card.  Returns the repository's address.

    A revision holds exactly a checkpoint's files.  Goes on where it was left: what is there already is not sent again.
    Raises OntogenyError if huggingface_hub is not installed, if nobody is logged in, and with what the hub says.
    """
    chosen = run.folder.seeds()[0] if seed is None else seed
    named = revisions(run.folder.checkpoints(chosen))
    if not named:
        raise OntogenyError(f"{run.folder.path} has no checkpoints of seed {chosen}; it has seeds {run.folder.seeds()}")
    check_here(list(named.values()))
    if left := {name for one in named.values() for name in {*_names(one.folder)} - {*own_files(one.folder)}} - {*OURS}:
        display.say(f"not sent, as neither weights, settings nor a tokenizer: {some(sorted(left))}")
    last = named[list(named)[-1]]
    with hub_errors(repo):
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()  # one bar, ours
        api = HfApi(endpoint=endpoint)
        address = str(api.create_repo(repo, private=private, exist_ok=True))
        with display.bar(f"revisions of {repo}", len(named) + 1, "revisions") as advance:
            for name, checkpoint in named.items():
                api.create_branch(repo, branch=name, exist_ok=True)
                upload(api, repo, checkpoint.folder, name, f"{run.folder.name}, seed {chosen}, step {checkpoint.step}")
                advance(1)
            with TemporaryDirectory() as place:
                shown = Path(place)
                write_card(run, shown, repo, list(named))
                card = list(_names(shown))
                for name in own_files(last.folder):
                    (shown / name).symlink_to((last.folder / name).resolve())
                message = f"{run.folder.name}, seed {chosen}: the last checkpoint, step {last.step}"
                upload(api, repo, shown, "main", message, card)
            advance(1)
    return address


def upload(api: Any, repo: str, folder: Path, revision: str, message: str, more: Sequence[str] = ()) -> None:
    """One commit after which a revision holds a checkpoint's files and `more` alone: a new branch begins as a copy of main."""
    wanted = [*own_files(folder), *more]
    api.upload_folder(
        repo_id=repo, folder_path=folder, revision=revision, delete_patterns="*", allow_patterns=wanted, commit_message=message
    )


def own_files(folder: Path) -> list[str]:
    """Names of what is read of a checkpoint, as of one of the hub: settings, a tokenizer, weights of one kind."""
    there = [HubFile(name, 0, "", False) for name in _names(folder)]
    return [file.path for file in (*about(there), *weights_of(there))]


def _names(folder: Path) -> Iterator[str]:
    yield from sorted(file.name for file in folder.iterdir() if file.is_file())


@contextmanager
def hub_errors(
    repo: str, advice: str = "log in with `hf auth login`, and name a repository that you may write to, as OWNER/NAME"
) -> Iterator[None]:
    """Whatever the hub and its library raise, as one error for people with what to do."""
    try:
        yield
    except ImportError as error:
        raise OntogenyError("huggingface_hub is not installed: pip install 'ontogeny[hub]'") from error
    except Exception as error:
        if not type(error).__module__.startswith(("huggingface_hub", "httpx")):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise OntogenyError(f"{repo}: {said[:300]}; {advice}") from error


# --- the card -----------------------------------------------------------------------------------------------------


def write_card(run: Run, folder: Path, repo: str, names: list[str]) -> None:
    """README.md with the verdicts, and the map beside it, where the run was judged."""
    verdicts = run.verdicts() if run.folder.verdicts.exists() else None
    if verdicts is not None:
        run.figure("map").save(str(folder / MAP), scale_factor=2)
    with disk.atomic(folder / "README.md") as temporary:
        temporary.write_text("\n".join(card(run, verdicts, repo, names)) + "\n", encoding="utf-8")


def card(run: Run, verdicts: pl.DataFrame | None, repo: str, names: list[str]) -> Iterator[str]:
    """Lines of the model card."""
    yield from (
        "---",
        "library_name: transformers",
        "tags:",
        "- ontogeny",
        "- babylm" if names[-1].startswith("chck_") else "- checkpoints",
        "---",
    )
    yield from ("", f"# {run.folder.name}", "")
    lineage = run.folder.lineage()
    if training := lineage.get("training"):
        words = lineage.get("tokens", {}).get("train", {}).get("words")
        text = f" on {words:,} words of text" if words else ""
        yield f"{training['parameters'] / 1e6:.1f}M parameters, trained for {training['steps']:,} steps{text}."
    yield f"Each checkpoint is a revision, {len(names)} in all: {', '.join(f'`{name}`' for name in names)}."
    yield from ("", "```python", f'AutoModelForCausalLM.from_pretrained("{repo}", revision="{names[-1]}")', "```", "")
    if verdicts is None:
        yield "It has not been judged."
        return
    yield from ("## How its grammar developed", "", f"![accuracy of every paradigm at every checkpoint]({MAP})", "")
    yield from ("| verdict | paradigms |", "|---|---|")
    for verdict, rows in verdicts.group_by("verdict", maintain_order=True).agg("paradigm").sort("verdict").iter_rows():
        yield f"| {verdict} | {len(rows)}: {', '.join(sorted(rows))} |"
    yield from ("", "Each row is a paradigm of minimal pairs; a verdict says how it developed over training (ontogeny).")
