"""What repositories on the hub hold: branches, commits and every commit's files, asked once and kept, so that nothing moves.

The client is `huggingface_hub` with its own cache, token and HF_ENDPOINT.  Where the hub asks to wait, or a connection breaks, we
wait, and say so.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from functools import cached_property
from typing import Any

from ontogeny.disk import says_full
from ontogeny.display import some
from ontogeny.foreign import SETTINGS, TOKENIZER, VOCABULARY, Say
from ontogeny.records import OntogenyError
from ontogeny.store import hash_together

TRIES = 10  # with waits of 1, 2, 4 ... seconds between them, about five minutes
LONGEST = 60.0  # seconds, where the hub does not say how long
AGAIN = (408, 429, 500, 502, 503, 504)  # what passes by itself
LOST = {"TransportError", "ConnectError", "TimeoutException", "LocalEntryNotFoundError"}  # httpx's by name: its module's changes
# A checkpoint's own files: settings, a tokenizer, and weights of one kind.  Never optimiser states, nor other libraries' weights.
ABOUT = (*SETTINGS, "config_*.json", "generation_config.json", *TOKENIZER, *VOCABULARY)
SAFE = ("model.safetensors", "model-*-of-*.safetensors")
PICKLED = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")


COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a commit, as the hub lists it."""

    path: str
    size: int
    id: str  # the SHA-256 of a large file; what Git calls a small one
    large: bool


class Gone(OntogenyError):
    """One revision cannot be had any more; others may."""


class Listing:
    """What the hub said of repositories.  What it has not said yet is asked when it is wanted, and kept from then on."""

    def __init__(self, kept: dict[str, Any] | None = None, say: Say = lambda text: None):
        told = kept or {}
        self.refs: dict[str, dict[str, str]] = told.get("refs", {})  # of a repository: branch -> commit
        self.titles: dict[str, dict[str, str]] = told.get("titles", {})  # of a repository@branch: title -> its newest commit
        self.trees: dict[str, list[HubFile]] = {
            commit: [HubFile(**file) for file in own] for commit, own in told.get("trees", {}).items()
        }
        self.client = HubClient(say)
        self.looked: Callable[[int], None] = lambda n: None  # hears of each commit whose files were asked for

    def kept(self) -> dict[str, Any]:
        """Plain values, for a run to keep."""
        trees = {commit: [asdict(file) for file in files] for commit, files in self.trees.items()}
        return {"refs": self.refs, "titles": self.titles, "trees": trees}

    def branches(self, repo: str) -> dict[str, str]:
        """The commit of each branch.  Raises OntogenyError for a repository that is not there or may not be read."""
        if repo not in self.refs:
            self.client.ask(repo, lambda api: api.auth_check(repo))
            found = self.client.ask(repo, lambda api: api.list_repo_refs(repo))
            self.refs[repo] = {branch.name: branch.target_commit for branch in found.branches}
        return self.refs[repo]

    def commit(self, repo: str, revision: str) -> str:
        """The commit of a branch, or that is named itself.  Raises OntogenyError for a revision that is not there."""
        branches = self.branches(repo)
        if revision not in branches and not COMMIT.fullmatch(revision):
            raise OntogenyError(f"{repo} has no revision {revision}; {close_to(revision, branches)}")
        return branches.get(revision, revision)

    def commits(self, repo: str, branch: str) -> dict[str, str]:
        """The commits that led to a branch, by their titles; of several with one title, the newest."""
        place = f"{repo}@{branch}"
        if place not in self.titles:
            found = self.client.ask(repo, lambda api: api.list_repo_commits(repo, revision=self.branches(repo)[branch]))
            self.titles[place] = {one.title: one.commit_id for one in reversed(found)}
        return self.titles[place]

    def tree(self, repo: str, commit: str) -> list[HubFile]:
        """The files at the top of a commit."""
        if commit not in self.trees:
            found = self.client.ask(repo, lambda api: list(api.list_repo_tree(repo, revision=commit)))
            self.looked(1)
            files = [file for file in found if hasattr(file, "blob_id")]
            self.trees[commit] = [
                HubFile(file.path, file.size, file.lfs.sha256 if file.lfs else file.blob_id, bool(file.lfs)) for file in files
            ]
        return self.trees[commit]


def close_to(word: str, names: Iterable[str]) -> str:
    """The names nearest to one that is not there, or some of what there is."""
    close = get_close_matches(word, list(names), n=3, cutoff=0.4)
    return f"nearest: {', '.join(close)}" if close else f"it has {some(sorted(names))}"


# --- which files --------------------------------------------------------------------------------------------------


def weights_of(tree: list[HubFile]) -> list[HubFile]:
    """The files of weights to read: safetensors, or if there are none pickled ones; one file rather than shards of the same."""
    for kinds in (SAFE, PICKLED):
        for pattern in kinds:
            if found := sorted((file for file in tree if fnmatch(file.path, pattern)), key=lambda file: file.path):
                return found
    return []


def about(tree: list[HubFile]) -> list[HubFile]:
    """Settings, the tokenizer, and the index of shards."""
    return [file for file in tree if any(fnmatch(file.path, pattern) for pattern in (*ABOUT, *_indexes(tree)))]


def _indexes(tree: list[HubFile]) -> list[str]:
    shards = weights_of(tree)
    return [f"{shards[0].path.split('-00')[0]}{ending}.index.json" for ending in (".safetensors", ".bin")] if shards[1:] else []


def tokenizer_of(tree: list[HubFile]) -> list[HubFile]:
    """The files of a tokenizer; none where there is no vocabulary."""
    if not any(fnmatch(file.path, pattern) for file in tree for pattern in VOCABULARY):
        return []
    return [file for file in tree if any(fnmatch(file.path, pattern) for pattern in TOKENIZER)]


def weights_hash(tree: list[HubFile]) -> str | None:
    """What `store.weights_hash` will find of a commit's weights; None where the hub does not say."""
    found = weights_of(tree)
    return hash_together([file.id for file in found]) if found and all(file.large for file in found) else None


# --- asking -------------------------------------------------------------------------------------------------------


class HubClient:
    """The hub's own client, with patience."""

    def __init__(self, say: Say = lambda text: None):
        self.say = say

    @cached_property
    def api(self) -> Any:
        """Asks where HF_ENDPOINT says, which the library itself reads once, when it is imported."""
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

        disable_progress_bars()  # one bar a run, ours
        return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)

    def ask(self, repo: str, question: Callable[[Any], Any], tries: int = 4) -> Any:
        """The answer to a question.  Waits and asks again for what passes by itself; raises OntogenyError that says what to do."""
        with heard(self.say):
            for left in reversed(range(tries)):
                try:
                    return question(self.api)
                except OntogenyError:
                    raise
                except Exception as error:
                    if says_full(error):
                        raise
                    if not left or not _passes(error):
                        raise _explained(repo, error) from error
                    seconds = _asked_to_wait(error) or min(LONGEST, 2.0 ** (tries - left - 1))
                    self.say(f"{repo}: {_why(error)}; asked again in {seconds:.0f} s")
                    time.sleep(seconds)
        raise AssertionError("the last try returns or raises")


@contextmanager
def heard(say: Say) -> Iterator[None]:
    """What the hub's client says of its own waits and tries goes to our screen, and not to another."""
    logger, told = logging.getLogger("huggingface_hub"), _Told(say)
    before, logger.handlers = logger.handlers, [told]
    try:
        yield
    finally:
        logger.handlers = before


class _Told(logging.Handler):
    def __init__(self, say: Say):
        super().__init__(logging.WARNING)
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        self.say(f"the hub's client: {' '.join(record.getMessage().split())[:400]}")


def _status(error: BaseException | None) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _passes(error: BaseException) -> bool:
    """True for what passes by itself: a limit, a server's trouble, a connection that broke or stayed silent."""
    if offline(error):
        return False
    for one in _chain(error):
        if (status := _status(one)) is not None:
            return status in AGAIN
    names = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    return bool(names & LOST) or "Consistency check failed" in str(error)


def offline(error: BaseException) -> bool:
    """True where HF_HUB_OFFLINE forbids to ask."""
    return any(type(one).__name__ == "OfflineModeIsEnabled" for one in _chain(error))


def _asked_to_wait(error: BaseException) -> float | None:
    """Seconds that the hub asks to wait, if it says so; one more, as it rounds down."""
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(getattr(error, "response", None), "headers", {})
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds) + 1
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _why(error: BaseException) -> str:
    if (status := next(filter(None, map(_status, _chain(error))), None)) is not None:
        return "the hub has had too many questions from here (429)" if status == 429 else f"the hub has trouble ({status})"
    return f"the connection broke ({type(error).__name__})"


def _explained(repo: str, error: BaseException) -> OntogenyError:
    """What went wrong with a repository, and what to do."""
    names = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    log_in = "`hf auth login`, or a token in HF_TOKEN"
    if "GatedRepoError" in names:
        return OntogenyError(
            f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, log in ({log_in}), and run the same command again"
        )
    if "RepositoryNotFoundError" in names:
        return OntogenyError(
            f"there is no folder {repo} here, and no model {repo} on the hub that may be read: see whether its name is right "
            f"(OWNER/NAME, capitals count); if it is private, log in with an account that may read it ({log_in})"
        )
    if names & {"RevisionNotFoundError", "RemoteEntryNotFoundError"}:
        return Gone(f"{repo}: a commit or file that was listed is not there any more ({_first_line(error)})")
    if offline(error):
        return OntogenyError(
            f"{repo}: HF_HUB_OFFLINE is set, and this has not been fetched before; unset it, or open it once where there is a "
            "network with --keep"
        )
    return OntogenyError(f"{repo}: {_why(error)} ({_first_line(error)}); nothing is lost, and the same command goes on")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")[:200]
