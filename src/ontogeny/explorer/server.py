"""The server: answers GET alone, to this machine alone unless told otherwise, and asks nobody for anything."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from ontogeny.disk import scan_table
from ontogeny.explorer.addresses import Links, address, load, view
from ontogeny.explorer.rendering import ASSETS, POLICY, asset, lost, render
from ontogeny.explorer.shelf import Lost, RunShelf
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TRIES = 20  # ports after the one that is asked for
EVERY = 1.0  # seconds between looks at what has changed
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
COOKIE = "ontogeny"


def serve(root: Path, host: str | None = None, port: int = 8642, say: Callable[[str], None] = print) -> None:
    """Serves a folder of runs until Ctrl-C; where the port is in use, at the next that is free, which is said.

    `host`: where else than on this machine; then a token that is made now is asked for.
    Raises OntogenyError where the extra `explorer` is not installed, or no port can be had.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise OntogenyError(f"the explorer needs {error.name}: pip install 'ontogeny[explorer]'") from None
    shelf = RunShelf(root)
    near = host is None or host in LOOPBACK
    token = "" if near else secrets.token_urlsafe(16)
    place, at = bound(host or LOOPBACK[0], port)
    if at != port:
        say(f"port {port} is in use; this is the next that is free")
    shown = f"[{host}]" if host and ":" in host else host or LOOPBACK[0]
    say(f"explorer: http://{shown}:{at}/{f'?token={token}' if token else ''}  ({shelf.root.resolve()}; Ctrl-C ends it)")
    hosts = [*LOOPBACK, *([host, socket.gethostname()] if host else [])]
    application = app(shelf, hosts, token, lambda: server.should_exit)
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=3))
    server.run([place])


def bound(host: str, port: int) -> tuple[socket.socket, int]:
    """A socket at the first free port from this one on.  Raises OntogenyError that names the first where none is."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    for at in range(port, min(port + TRIES, 65536)):
        place = socket.socket(kind, socket.SOCK_STREAM)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((host, at))
            place.listen()
        except OSError as error:
            place.close()
            if isinstance(error, socket.gaierror) or error.errno not in (98, 48, 10048):  # in use: Linux, macOS, Windows
                raise OntogenyError(f"no server can be had at {host}:{at} ({error}); name another --host or --port") from None
        else:
            return place, at
    raise OntogenyError(f"ports {port} to {at} of {host} are all in use; name another with --port")


@cache
def _warm(shelf: RunShelf) -> None:
    """Begins to load, once, while the first page is looked at, what the next ones stand on: a run's and a paradigm's are made."""

    def begin() -> None:
        load()
        asset("vega.js")
        with suppress(Exception):  # whatever a run holds: its own page says it
            run = next(run for run in shelf.runs().values() if run.verdicts.exists())
            first = scan_table(run.verdicts).select("suite", "paradigm").head(1).collect().row(0)
            for names in (("run",), ("paradigm", *first)):
                answer(shelf, address(names[0], shelf.title(run.path), *names[1:]), {})

    Thread(target=begin, daemon=True).start()


def app(shelf: RunShelf, hosts: list[str], token: str = "", over: Callable[[], bool] = lambda: False) -> Starlette:
    """The application: every address of the table, three assets, and a stream of what has changed until it is `over`."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
    from starlette.routing import Route

    async def page(request: Request) -> Response:
        path = str(request.path_params["path"]).strip("/")
        if path == "compare":
            runs = [name for name in request.query_params.getlist("run") if name]
            return RedirectResponse(f"/compare/{','.join(runs)}" if len(runs) > 1 else "/", 303)
        status, text, kind = await run_in_threadpool(answer, shelf, path, dict(request.query_params))
        _warm(shelf)
        names = {"Content-Disposition": f'attachment; filename="{path.rsplit("/", 1)[-1]}.csv"'} if kind == "text/csv" else {}
        return HTMLResponse(text, status, names, kind)

    async def assets(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            return PlainTextResponse("not found", 404)
        return PlainTextResponse(await run_in_threadpool(asset, name), media_type=ASSETS[name])

    async def news(request: Request) -> Response:
        run = request.query_params.get("run", "*")
        if run != "*" and run not in await run_in_threadpool(shelf.runs):
            return PlainTextResponse("not found", 404)  # and not asked again
        return StreamingResponse(changes(shelf, run, over), media_type="text/event-stream")

    routes = [
        Route("/assets/{name}", assets, methods=["GET"]),
        Route("/news", news, methods=["GET"]),
        Route("/{path:path}", page, methods=["GET"]),
    ]
    from starlette.middleware import Middleware

    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts, token=token)])


def answer(shelf: RunShelf, path: str, query: dict[str, str]) -> tuple[int, str, str]:
    """Status, text and kind of what is sent for a path."""
    link = Links(path)
    try:
        found = view(shelf, path, query, link)
        if query.get("as") == "csv" and found.table is not None:
            return 200, found.table.write_csv(), "text/csv"
        return 200, render(found, link), "text/html"
    except Lost as error:
        return 404, lost("not there", str(error), link), "text/html"
    except OntogenyError as error:
        return 500, lost("cannot be shown", f"{error}", link), "text/html"
    except Exception as error:  # files of a run may hold anything, and the next page is worth having
        return 500, lost("cannot be shown", f"{type(error).__name__}: {error}", link), "text/html"


async def changes(shelf: RunShelf, run: str, over: Callable[[], bool] = lambda: False) -> AsyncIterator[str]:
    """An event whenever something is written into a run, or into any (*); the last where it is gone."""
    from starlette.concurrency import run_in_threadpool

    before = None
    yield ": here\n\n"
    while not over():
        now = await run_in_threadpool(_news, shelf, run, int(time.monotonic() / EVERY))
        if before not in (None, now):
            yield "data: changed\n\n"
        if now is None:
            return
        before = now
        await asyncio.sleep(EVERY)


@lru_cache(256)  # many that look on cost no more than one
def _news(shelf: RunShelf, run: str, moment: int) -> Any:
    there = shelf.runs()
    if run != "*":
        return shelf.news(there[run]) if run in there else None
    return {name: shelf.news(one) for name, one in there.items()}


class Guard:
    """Lets in GET alone, under a name of this machine, and from elsewhere with the token; every answer has the policy."""

    def __init__(self, app: Any, hosts: list[str], token: str):
        self.app, self.hosts, self.token = app, hosts, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI has it."""
        from starlette.datastructures import Headers, MutableHeaders
        from starlette.requests import Request

        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refusal(Request(scope), Headers(scope=scope))
        await (refused or self.app)(scope, receive, with_headers)

    def _refusal(self, request: Request, headers: Any) -> Response | None:
        from starlette.responses import PlainTextResponse, RedirectResponse

        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("the explorer is read only: GET", 405, {"Allow": "GET"})
        if host_of(headers.get("host", "")) not in self.hosts:
            return PlainTextResponse("the explorer answers under the names of its own machine only", 421)
        if not self.token:
            return None
        given = request.query_params.get("token", "")
        if secrets.compare_digest(given.encode(), self.token.encode()):
            answer = RedirectResponse(request.url.path, 303)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        if secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self.token.encode()):
            return None
        return PlainTextResponse("this explorer asks for the token that the terminal shows: /?token=...", 403)


def host_of(header: str) -> str:
    """The name in a Host header, without its port: also of [::1]:8642."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()
