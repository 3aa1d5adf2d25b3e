"""A hub in little on loopback: repositories with branches and commits, read and written by `huggingface_hub` itself.

    with Hub() as hub:
        commit = hub.push("EleutherAI/pythia-14m", folder, branch="step1000")
        HfApi(endpoint=hub.url).snapshot_download("EleutherAI/pythia-14m", revision=commit, local_dir=...)

What may go wrong on the way is asked for: `too_many` (429), `cut` (a transfer that ends early), `broken` (a server's error), a
repository that is gated or private, or that has another name by now.  `asked` lists every request.  A data set is read as a model
of its name.  Reading needs no setting but
HF_ENDPOINT or `endpoint=`; writing needs HF_HUB_DISABLE_XET=1 before the import, as large files come by Git LFS.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGE = ("*.safetensors", "*.bin", "*.model", "*.pt", "*.msgpack", "*.h5", "*.onnx", "*.parquet")  # kept by Git LFS
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Blob:
    """A file's content: in memory, or where it lies on disk."""

    content: bytes | Path
    large: bool

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def read(self, begin: int = 0) -> bytes:
        if isinstance(self.content, bytes):
            return self.content[begin:]
        with self.content.open("rb") as file:
            file.seek(begin)
            return file.read()


@dataclass
class Commit:
    """Files at one moment."""

    files: dict[str, str]  # path -> the blob's sha256
    title: str
    parent: str | None


@dataclass
class Repository:
    """Branches, and all commits that they came from."""

    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def resolve(self, revision: str) -> str | None:
        revision = revision.removeprefix("refs/heads/")
        return self.branches.get(revision, revision if revision in self.commits else None)

    def history(self, commit: str | None) -> list[str]:
        """A commit and those before it, newest first."""
        found = []
        while commit is not None:
            found.append(commit)
            commit = self.commits[commit].parent
        return found


@dataclass
class Fault:
    """What befalls the next requests whose method and path fit a pattern: `GET /cdn/*`."""

    pattern: str
    times: int
    does: Callable[[Handler], None]
    after: int = -1  # bytes of a body that still come


class Hub:
    """Serves repositories on a port of its own, from `with` to its end."""

    def __init__(self, page: int = 1000, tokens: tuple[str, ...] = ("hf_valid",)):
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, str] = {}
        self.blobs: dict[str, Blob] = {}  # by sha256
        self.uploaded: dict[str, Blob] = {}  # by sha256, not in a commit yet
        self.asked: list[str] = []  # METHOD PATH of every request
        self.sent = 0  # bytes of all answers
        self.page = page  # entries of a tree, or commits, in one answer
        self.tokens = tokens
        self._ids: dict[tuple[str, int], str] = {}
        self.watch: Callable[[str], None] = lambda request: None  # called with METHOD PATH before each answer
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        hub = self

        class Here(Handler):
            server_of = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def elsewhere(self) -> str:
        """The same under another host's name, where large files are: a client follows no further within one host."""
        return self.url.replace("127.0.0.1", "localhost")

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- what a test sets up --------------------------------------------------------------------------------------

    def push(
        self,
        repo: str,
        files: Path | Mapping[str, bytes | Path],
        branch: str = "main",
        title: str = "",
        descends: bool = False,
    ) -> str:
        """A commit that holds exactly these files, at the head of a branch.  `descends`: of what the branch was; returns its id."""
        if isinstance(files, Path):
            files = {path.relative_to(files).as_posix(): path for path in sorted(files.rglob("*")) if path.is_file()}
        with self._lock:
            kept = {name: self.keep(name, content) for name, content in files.items()}
            known = self.repositories.setdefault(repo, Repository())
            parent = known.branches.get(branch) if descends else None
            return self.commit(repo, branch, kept, title or f"Upload {branch}", parent)

    def keep(self, name: str, content: bytes | Path) -> str:
        """A blob, by its sha256."""
        large = any(fnmatch.fnmatch(name, pattern) for pattern in LARGE)
        blob = Blob(content, large)
        sha = _sha256(blob)
        self.blobs[sha] = blob
        return sha

    def commit(self, repo: str, branch: str, files: dict[str, str], title: str, parent: str | None) -> str:
        known = self.repositories[repo]
        about = json.dumps([repo, sorted(files.items()), title, parent, branch]).encode()
        commit = hashlib.sha1(about).hexdigest()
        known.commits[commit] = Commit(files, title, parent)
        known.branches[branch] = commit
        return commit

    def too_many(self, pattern: str = "* /api/*", times: int = 1, wait: int = 0) -> None:
        """429 with the seconds to wait, as the hub says it."""
        headers = {"RateLimit": f'"api";r=0;t={wait}', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
        self._faults.append(Fault(pattern, times, lambda handler: handler.answer(429, b"too many requests", headers)))

    def broken(self, pattern: str, times: int = 1, status: int = 503) -> None:
        """A server's error."""
        self._faults.append(Fault(pattern, times, lambda handler: handler.answer(status, b"something went wrong")))

    def cut(self, pattern: str = "GET /cdn/*", after: int = 100, times: int = 1) -> None:
        """A transfer whose connection ends after so many bytes."""
        self._faults.append(Fault(pattern, times, lambda handler: None, after))

    def fault_for(self, request: str) -> Fault | None:
        with self._lock:
            found = next((fault for fault in self._faults if fault.times and fnmatch.fnmatch(request, fault.pattern)), None)
            if found:
                found.times -= 1
            return found

    # --- what it keeps --------------------------------------------------------------------------------------------

    def entry(self, path: str, sha: str, expand: bool) -> dict[str, Any]:
        """A file of a tree, as the hub lists it."""
        blob = self.blobs[sha]
        found: dict[str, Any] = {"type": "file", "oid": self.git_id(sha), "size": blob.size, "path": path}
        if blob.large:
            found["lfs"] = {"oid": sha, "size": blob.size, "pointerSize": len(_pointer(sha, blob.size))}
        if expand:
            found["lastCommit"] = {"id": "0" * 40, "title": "Upload", "date": "2026-01-01T00:00:00.000Z"}
        return found

    def git_id(self, sha: str) -> str:
        """What Git calls a file: of a large one, its pointer."""
        blob = self.blobs[sha]
        content = _pointer(sha, blob.size) if blob.large else blob.read()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One request.  Paths are the hub's own."""

    server_of: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or headers and body wait for one another

    def setup(self) -> None:
        super().setup()
        self._cut = -1

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(READS)

    def do_HEAD(self) -> None:
        self._serve(READS)

    def do_POST(self) -> None:
        self._serve(WRITES)

    def do_PUT(self) -> None:
        self._serve(WRITES)

    def _serve(self, routes: list[tuple[str, str]]) -> None:
        hub = self.server_of
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(asked.query))
        hub.asked.append(f"{self.command} {asked.path}")
        hub.watch(f"{self.command} {asked.path}")
        fault = hub.fault_for(f"{self.command} {asked.path}")
        self._cut = fault.after if fault else -1
        if fault and fault.after < 0:
            return fault.does(self)
        for pattern, name in routes:
            if match := re.fullmatch(pattern, asked.path):
                parts = {key: urllib.parse.unquote(text) for key, text in match.groupdict().items() if text is not None}
                if "repo" not in parts or (repo := self._known(parts["repo"])) is not None:
                    getattr(self, name)(**parts | ({"repo": repo} if "repo" in parts else {}))
                return
        self.answer(404, b"not found")

    # --- answers --------------------------------------------------------------------------------------------------

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        told = {"Content-Length": str(len(body))} | dict(headers)
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if 0 <= self._cut < len(body):
            body, self.close_connection = body[: self._cut], True
        self.server_of.sent += len(body)
        self.wfile.write(body)

    def say(self, value: Any, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | dict(headers))

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message})

    def page(self, entries: list[Any]) -> None:
        """So many entries as an answer has, and where the next ones are."""
        begin, size = int(self.query.get("cursor", 0)), self.server_of.page
        headers = {}
        if begin + size < len(entries):
            more = urllib.parse.urlencode(self.query | {"cursor": str(begin + size)})
            headers["Link"] = f'<{self.server_of.url}{urllib.parse.urlsplit(self.path).path}?{more}>; rel="next"'
        self.say(entries[begin : begin + size], headers=headers)

    @property
    def known_to_us(self) -> bool:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") in self.server_of.tokens

    def _known(self, repo: str) -> str | None:
        """A repository that may be read; answers the request where it may not."""
        hub = self.server_of
        if repo in hub.renamed:
            self.answer(307, headers={"Location": self.path.replace(repo, hub.renamed[repo], 1)})
            return None
        if repo not in hub.repositories or (hub.repositories[repo].private and not self.known_to_us):
            if self.known_to_us:
                self.refuse(404, "RepoNotFound", "Repository not found")
            else:
                self.refuse(401, "RepoNotFound", "Invalid username or password.")
            return None
        return repo

    def _commit(self, repo: str, revision: str) -> str | None:
        commit = self.server_of.repositories[repo].resolve(revision)
        if commit is None:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    # --- reading --------------------------------------------------------------------------------------------------

    def info(self, repo: str, revision: str = "main") -> None:
        if commit := self._commit(repo, revision):
            files = self.server_of.repositories[repo].commits[commit].files
            self.say({"id": repo, "modelId": repo, "sha": commit, "siblings": [{"rfilename": name} for name in sorted(files)]})

    def refs(self, repo: str) -> None:
        branches = self.server_of.repositories[repo].branches
        rows = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit} for name, commit in branches.items()]
        self.say({"branches": rows, "converts": [], "tags": []})

    def tree(self, repo: str, revision: str, below: str = "") -> None:
        if commit := self._commit(repo, revision):
            expand = self.query.get("expand", "").lower() == "true"
            files = self.server_of.repositories[repo].commits[commit].files
            inside = {path: sha for path, sha in sorted(files.items()) if path.startswith(f"{below}/" if below else "")}
            found = [self.server_of.entry(path, sha, expand) for path, sha in inside.items()]
            if self.query.get("recursive", "").lower() != "true":
                start = len(below) + 1 if below else 0
                folders = {path[: path.index("/", start)] for path in inside if "/" in path[start:]}
                found = [one for one in found if "/" not in one["path"][start:]]
                found += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in sorted(folders)]
            self.page(found)

    def commits(self, repo: str, revision: str) -> None:
        if commit := self._commit(repo, revision):
            known = self.server_of.repositories[repo]
            self.page(
                [
                    {"id": one, "title": known.commits[one].title, "message": "", "authors": [], "date": "2026-01-01T00:00:00.000Z"}
                    for one in known.history(commit)
                ]
            )

    def auth_check(self, repo: str) -> None:
        if self.server_of.repositories[repo].gated and not self.known_to_us:
            return self.refuse(403, "GatedRepo", f"Access to model {repo} is restricted.")
        self.say({})

    def file(self, repo: str, revision: str, path: str) -> None:
        """Small files at once; large ones by way of another address, which a client may ask for the rest of."""
        hub = self.server_of
        if hub.repositories[repo].gated and not self.known_to_us:
            return self.refuse(403, "GatedRepo", f"Access to model {repo} is restricted.")
        commit = self._commit(repo, revision)
        if commit is None:
            return
        sha = hub.repositories[repo].commits[commit].files.get(path)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if sha is None:
            return self.answer(404, b"Entry not found", headers | {"X-Error-Code": "EntryNotFound"})
        if not hub.blobs[sha].large:
            return self._body(hub.blobs[sha], headers | {"ETag": f'"{hub.git_id(sha)}"'})
        linked = {"X-Linked-Size": str(hub.blobs[sha].size), "X-Linked-ETag": f'"{sha}"', "ETag": f'"{hub.git_id(sha)}"'}
        self.answer(302, headers={**headers, **linked, "Location": f"{hub.elsewhere}/cdn/{sha}"})

    def cdn(self, sha: str) -> None:
        self._body(self.server_of.blobs[sha], {"ETag": f'"{sha}"', "Accept-Ranges": "bytes"})

    def _body(self, blob: Blob, headers: dict[str, str]) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted else 0
        if begin and begin >= blob.size:
            return self.answer(416, headers={"Content-Range": f"bytes */{blob.size}"})
        if self.command == "HEAD":
            return self.answer(200, headers=headers | {"Content-Length": str(blob.size)})
        body = blob.read(begin)
        if wanted:
            headers["Content-Range"] = f"bytes {begin}-{blob.size - 1}/{blob.size}"
        self.answer(206 if wanted else 200, body, headers)

    def who(self) -> None:
        if not self.known_to_us:
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        self.say({"type": "user", "name": "tester", "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    # --- writing --------------------------------------------------------------------------------------------------

    def create(self) -> None:
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or 'tester'}/{asked['name']}"
        if not self._may_write():
            return
        there = repo in self.server_of.repositories
        if not there:
            self.server_of.repositories[repo] = Repository(
                private=bool(asked.get("private") or asked.get("visibility") == "private")
            )
            self.server_of.commit(repo, "main", {}, "initial commit", None)
        self.say({"url": f"{self.server_of.url}/{repo}", "id": repo}, 409 if there else 200)

    def branch(self, repo: str, name: str) -> None:
        if not self._may_write():
            return
        known = self.server_of.repositories[repo]
        if name in known.branches:
            return self.refuse(409, "", "Reference already exists")
        if commit := self._commit(repo, json.loads(self.body or b"{}").get("startingPoint") or "main"):
            known.branches[name] = commit
            self.say({})

    def paths(self, repo: str, revision: str) -> None:
        if commit := self._commit(repo, revision):
            files = self.server_of.repositories[repo].commits[commit].files
            named = urllib.parse.parse_qs(self.body.decode()).get("paths", [])
            self.say([self.server_of.entry(path, files[path], False) for path in named if path in files])

    def preupload(self, repo: str, revision: str) -> None:
        commit = self._commit(repo, revision)
        if commit is None or not self._may_write():
            return
        hub, files = self.server_of, self.server_of.repositories[repo].commits[commit].files
        told = []
        for one in json.loads(self.body)["files"]:
            large = any(fnmatch.fnmatch(one["path"], pattern) for pattern in LARGE)
            there = files.get(one["path"])
            known = None if there is None else there if hub.blobs[there].large else hub.git_id(there)
            told.append({"path": one["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": known})
        self.say({"files": told})

    def lfs(self, repo: str) -> None:
        hub, objects = self.server_of, json.loads(self.body)["objects"]
        known = hub.blobs.keys() | hub.uploaded.keys()
        actions = {one["oid"]: {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}} for one in objects if one["oid"] not in known}
        told = [one | ({"actions": actions[one["oid"]]} if one["oid"] in actions else {}) for one in objects]
        self.say({"transfer": "basic", "objects": told})

    def upload(self, sha: str) -> None:
        blob = Blob(self.body, True)
        if _sha256(blob) != sha:
            return self.answer(400, b"another content than its name says")
        self.server_of.uploaded[sha] = blob
        self.answer(200)

    def write(self, repo: str, revision: str) -> None:
        """A commit: a line of JSON for its title, and one for each file."""
        parent = self._commit(repo, revision)
        if parent is None or not self._may_write():
            return
        hub = self.server_of
        files, title = dict(hub.repositories[repo].commits[parent].files), ""
        for line in self.body.splitlines():
            key, value = json.loads(line).values()
            if key == "header":
                title = value["summary"]
            elif key == "file":
                files[value["path"]] = hub.keep(value["path"], base64.b64decode(value["content"]))
            elif key == "lfsFile":
                hub.blobs[value["oid"]] = hub.uploaded.get(value["oid"]) or hub.blobs[value["oid"]]
                files[value["path"]] = value["oid"]
            else:
                gone = [path for path in files if path == value["path"] or path.startswith(value["path"].rstrip("/") + "/")]
                files = {path: sha for path, sha in files.items() if path not in gone}
        commit = hub.commit(repo, revision, files, title, parent)
        self.say({"success": True, "commitOid": commit, "commitUrl": f"{hub.url}/{repo}/commit/{commit}"})

    def card(self) -> None:
        self.say({"errors": [], "warnings": []})

    def _may_write(self) -> bool:
        if not self.known_to_us:
            self.refuse(401, "", "Invalid credentials in Authorization header")
        return self.known_to_us


REPO = r"(?P<repo>[\w.-]+/[\w.-]+?)"
READS = [
    (rf"/api/(?:models|datasets)/{REPO}/refs", "refs"),
    (rf"/api/(?:models|datasets)/{REPO}/tree/(?P<revision>[^/]+)(?:/(?P<below>.+))?", "tree"),
    (rf"/api/(?:models|datasets)/{REPO}/commits/(?P<revision>[^/]+)", "commits"),
    (rf"/api/(?:models|datasets)/{REPO}/auth-check(?:/write)?", "auth_check"),
    (rf"/api/(?:models|datasets)/{REPO}/revision/(?P<revision>[^/]+)", "info"),
    (rf"/api/(?:models|datasets)/{REPO}", "info"),
    (r"/api/whoami-v2", "who"),
    (r"/cdn/(?P<sha>[0-9a-f]{64})", "cdn"),
    (rf"(?:/datasets)?/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "file"),
]
WRITES = [
    (r"/api/repos/create", "create"),
    (r"/api/validate-yaml", "card"),
    (rf"/api/models/{REPO}/branch/(?P<name>[^/]+)", "branch"),
    (rf"/api/models/{REPO}/paths-info/(?P<revision>[^/]+)", "paths"),
    (rf"/api/models/{REPO}/preupload/(?P<revision>[^/]+)", "preupload"),
    (rf"/api/models/{REPO}/commit/(?P<revision>[^/]+)", "write"),
    (rf"/{REPO}\.git/info/lfs/objects/batch", "lfs"),
    (r"/upload/(?P<sha>[0-9a-f]{64})", "upload"),
]


def _sha256(blob: Blob) -> str:
    if isinstance(blob.content, bytes):
        return hashlib.sha256(blob.content).hexdigest()
    with blob.content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pointer(sha: str, size: int) -> bytes:
    """What Git keeps in a large file's place."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha}\nsize {size}\n".encode()
