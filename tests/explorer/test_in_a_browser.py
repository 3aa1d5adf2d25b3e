"""All views in a real browser, served and as files: nothing is asked of anybody else, and no script complains."""

import re
import shutil
import threading
from urllib.parse import urlsplit

import pytest

from ontogeny.explorer.addresses import address
from ontogeny.explorer.export import export
from ontogeny.explorer.server import app, bound
from ontogeny.explorer.shelf import RunShelf
from ontogeny.store import read_table, write_table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'ontogeny[dev]'")
uvicorn = pytest.importorskip("uvicorn", reason="the extra explorer is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

NASTY = "<img src=x onerror=alert(1)>"
WAITED = (
    "!('waits' in document.body.dataset) && [...document.querySelectorAll('[data-chart]')].every((one) => one.querySelector('svg'))"
)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture
def heard(browser):
    """A page, and what it says that it should not: complaints, and addresses of others."""
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"a script of a name ran: {dialog.message}"))
    page.on("request", lambda asked: said.append(asked.url) if urlsplit(asked.url).hostname not in (None, "127.0.0.1") else None)
    yield page, said
    page.close()


@pytest.fixture
def served(folder):
    place, port = bound("127.0.0.1", 18700)
    server = uvicorn.Server(uvicorn.Config(app(RunShelf(folder), ["127.0.0.1"]), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, args=([place],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


def test_every_view_is_walked_on_a_server(served, folder, heard):
    page, said = heard
    suite, paradigm = read_table(folder / "tiny" / "verdicts.parquet").select("suite", "paradigm").row(0)
    climbs = read_table(folder / NASTY / "verdicts.parquet").filter(paradigm="../<b>up</b>")["paradigm"][0]
    views = [
        ("runs",),
        ("figures", "tiny"),
        ("pairs", "tiny", suite, paradigm, 0, 24),
        ("pair", "tiny", suite, paradigm, 0),
        ("why", "tiny", suite, paradigm),
        ("checkpoint", "tiny", 0, 24),
        ("compare", ["tiny", NASTY]),
        ("pairs", NASTY, suite, climbs, 0, 24),
        ("paradigm", NASTY, suite, climbs),
        ("run", "tiny"),
    ]
    for names in views:
        page.goto(f"{served}/{address(*names)}")
        page.wait_for_function(WAITED, timeout=60_000)
    page.locator("summary", has_text="Try other thresholds").click()
    page.locator("input[name=hi]").fill("0.51")
    page.wait_for_selector("#tried-1 p", timeout=60_000)
    page.locator(".heat tbody th a").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**/pairs/**")
    page.get_by_role("button", name="Read each token").click()
    page.wait_for_selector(".token", timeout=60_000)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert said == []


def test_every_view_is_walked_as_a_file_and_no_link_leads_nowhere(folder, tmp_path, heard):
    page, said = heard
    root, out = tmp_path / "runs", tmp_path / "site"
    shutil.copytree(folder / "tiny", root / "tiny")
    for name in ("curves", "verdicts"):  # two paradigms, so that there are few files
        table = read_table(root / "tiny" / f"{name}.parquet")
        write_table(root / "tiny" / f"{name}.parquet", table.filter(table["paradigm"].is_in(sorted(set(table["paradigm"]))[:2])))
    first = export(root, out)
    files = sorted(out.rglob("*.html"))
    assert first == out / "index.html" and len(files) > 40
    linked = {(file.parent / link).resolve() for file in files for link in re.findall(r'href="([^"#?:]+)"', file.read_text())}
    assert {path for path in linked if not path.exists()} == set()
    pairs = next(iter(sorted((out / "runs/tiny/pairs").rglob("24.html"))))
    for path in (
        first,
        *(out / "runs/tiny" / name for name in ("figures.html", "checkpoint/0/24.html")),
        pairs,
        out / "runs/tiny.html",
    ):
        page.goto(path.resolve().as_uri())
        page.wait_for_function(WAITED, timeout=60_000)
    page.locator(".heat tbody th a").first.click()
    page.wait_for_url("**/paradigm/**")
    page.wait_for_function(WAITED, timeout=60_000)
    assert said == []
