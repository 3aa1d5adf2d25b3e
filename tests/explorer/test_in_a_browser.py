"""All views in a real browser, served and as files: nothing is asked of anybody else, and no script complains."""

import os
import re
import shutil
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ontogeny.disk import read_table, write_table
from ontogeny.explorer.addresses import address
from ontogeny.explorer.export import export
from ontogeny.explorer.server import app, bound
from ontogeny.explorer.shelf import RunShelf

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'ontogeny[dev]'")
uvicorn = pytest.importorskip("uvicorn", reason="the extra explorer is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

SITE = "ONTOGENY_SITE"  # an exported site, or a folder of runs to export: walked too, as ONTOGENY_SITE=runs pytest FILE -k real
MISSED = Path(__file__).with_name("seen.js").read_text(encoding="utf-8")
# each stop of the Tab key: what it is, and whether it is seen to be there
STOP = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return [one.outerHTML.slice(0, 90), shown || one.matches(".skip")];
}"""
STOPS = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility() && !one.closest(".vega-embed"))
  .map((one) => one.outerHTML.slice(0, 90))"""
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
    for place, names in enumerate(views):
        page.emulate_media(color_scheme="dark" if place % 2 else "light")
        page.goto(f"{served}/{address(*names)}")
        page.wait_for_function(WAITED, timeout=60_000)
        assert page.evaluate(MISSED) == [], names
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
    assert first == out / "index.html"
    assert walked(page, out) > 40
    page.goto((out / "runs/tiny.html").as_uri())
    page.locator(".heat tbody th a").first.click()
    page.wait_for_url("**/paradigm/**")
    page.wait_for_function(WAITED, timeout=60_000)
    assert said == []


@pytest.mark.skipif(SITE not in os.environ, reason=f"{SITE} names no site and no folder of runs")
def test_the_export_of_real_runs_is_walked(tmp_path, heard):
    page, said = heard
    given = Path(os.environ[SITE])
    site = given if (given / "assets").is_dir() else export(given, tmp_path / "site").parent
    assert walked(page, site) > 5
    assert said == []


def walked(page, site):
    """Looks at up to four pages of each view of a site, whose links lead to files that are there; how many pages it has."""
    files = sorted(site.rglob("*.html"))
    links = ((file, unquote(link)) for file in files for link in re.findall(r'href="([^"#?:]+)"', file.read_text()))
    assert {link for file, link in links if not (file.parent / link).exists()} == set()
    views: dict[str, list[Path]] = {}
    for file in files:
        views.setdefault("/".join(file.relative_to(site).parts[::2][:2]), []).append(file)
    for every in views.values():
        for file in every[:: -(-len(every) // 4)]:
            page.goto(file.resolve().as_uri())
            page.wait_for_function(WAITED, timeout=120_000)
    return len(files)


def test_every_control_is_reached_by_the_tab_key_and_seen(served, folder, heard):
    page, said = heard
    suite, paradigm = read_table(folder / "tiny" / "verdicts.parquet").select("suite", "paradigm").row(0)
    for names in (("runs",), ("paradigm", "tiny", suite, paradigm)):
        page.goto(f"{served}/{address(*names)}")
        page.wait_for_function(WAITED, timeout=60_000)
        stops, reached = page.evaluate(STOPS), []
        for _ in range(3 * len(stops)):
            page.keyboard.press("Tab")
            reached.append(tuple(page.evaluate(STOP)))
            if reached[-1] in reached[:-1] and {html for html, _ in reached} >= set(stops):
                break
        assert set(stops) - {html for html, _ in reached} == set()
        assert [html for html, shown in reached if not shown and not html.startswith("<body")] == []
    assert said == []


def test_runs_are_filtered_and_sorted_and_there_without_scripts(served, browser, heard):
    page, said = heard
    page.goto(served)
    page.locator("#find").fill("tin")
    assert page.locator("#runs tbody tr:visible").count() == 1
    page.locator("#find").fill("")
    page.get_by_role("button", name="size").click()
    sizes = page.eval_on_selector_all(
        "#runs tbody tr", "rows => rows.map(row => Number(row.cells[8]?.dataset.sort)).filter(Boolean)"
    )
    assert len(sizes) == 2 and sizes == sorted(sizes)
    assert said == []
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(served)
    assert plain.locator("#runs tbody tr").count() == 3 and not plain.locator("#find").is_visible()
    plain.close()
