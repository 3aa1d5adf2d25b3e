"""Every view by its address: what it holds, what it says of what is not there, and that nobody's text is more than text."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from html import unescape
from urllib.parse import quote

import polars as pl
import pytest
import tiny

from ontogeny import leases
from ontogeny.disk import read_table
from ontogeny.explorer import server
from ontogeny.explorer.addresses import VIEWS, Links, address, file_of, named
from ontogeny.explorer.errands import Errands, outcome
from ontogeny.explorer.export import export
from ontogeny.explorer.server import answer, app, bound, host_of
from ontogeny.explorer.shelf import Lost, RunShelf
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

pytest.importorskip("starlette", reason="the extra explorer is not installed")
from starlette.testclient import TestClient

HERE = "http://127.0.0.1"


@pytest.fixture(scope="session")
def client(folder):
    return TestClient(app(RunShelf(folder), ["127.0.0.1"]), base_url=HERE)


@pytest.fixture(scope="session")
def first(folder):
    """Suite and first paradigm of the tiny run."""
    return read_table(folder / "tiny" / "verdicts.parquet").select("suite", "paradigm").row(0)


def page(client, *names, status=200, query=""):
    found = client.get(f"/{address(*names)}{query}")
    assert found.status_code == status, found.text
    return found.text


def made(client, *names, query=""):
    """A page that is made when it is asked for, once it is there."""
    until = time.monotonic() + 60
    while "data-waits" in (text := page(client, *names, query=query)):
        assert time.monotonic() < until, text
        time.sleep(0.02)  # another thread is at work
    return text


def test_addresses_and_views_are_one_table():
    for name in VIEWS:
        names = [word.strip("{}") for word in VIEWS[name][0].split("/") if word.startswith("{")]
        assert named(address(name, *names))[0] == name
    assert file_of("") == "index.html"
    assert address("run", "a/b") != address("run", "a-b")
    with pytest.raises(Lost, match="no page at /runs/a/b/c"):
        named("runs/a/b/c")


def test_links_lead_from_file_to_file_and_nowhere_where_no_file_is():
    link = Links("runs/a/pairs/s/p/0/1", {"", "runs/a"})
    assert link("runs") == "../../../../../../index.html"
    assert link("run", "a") == "../../../../../a.html"
    assert link("run", "b") == ""
    assert Links("")("run", "a b") == f"/{address('run', 'a b')}"


def test_all_runs_are_listed_with_what_is_missing_and_the_broken_one_says_so(client):
    text = page(client, "runs")
    assert "3 runs" in text and "<strong>broken:</strong>" in text and "verdicts.parquet" in text
    assert "ontogeny evidence" in text
    assert "notes" not in text


def test_a_cell_of_the_map_leads_to_its_pairs_and_a_name_to_its_paradigm(client, first):
    text = page(client, "run", "tiny")
    suite, paradigm = first
    assert f'href="/{address("paradigm", "tiny", suite, paradigm)}"' in text
    assert f'href="/{address("pairs", "tiny", suite, paradigm, 0, 24)}"' in text
    assert text.count("<h3>Verdicts and their evidence</h3>") == 1


def test_the_pairs_are_those_of_the_scores(client, folder, first):
    suite, paradigm = first
    text = page(client, "pairs", "tiny", suite, paradigm, 1, 24)
    scores = read_table(RunFolder(folder / "tiny").scores(1, suite, 24)).filter(paradigm=paradigm)
    right = int((scores["logp_good"] > scores["logp_bad"]).sum())
    assert f"wins in {right} of {len(scores)} pairs" in text
    assert "Since step 20" in text
    table = pl.read_csv(client.get(f"/{address('pairs', 'tiny', suite, paradigm, 1, 24)}?as=csv").content)
    assert table["margin"].to_list() == pytest.approx((scores["logp_good"] - scores["logp_bad"]).to_list())
    shown = page(client, "pairs", "tiny", suite, paradigm, 1, 24, query="?show=wrong")
    assert f"{len(scores) - right} pair" in shown


def test_who_flipped_is_who_changed_sides_since_the_checkpoint_before(client, folder, first):
    suite, paradigm = first
    now, before = (read_table(RunFolder(folder / "tiny").scores(0, suite, step)).filter(paradigm=paradigm) for step in (24, 20))
    margins = [frame["logp_good"] - frame["logp_bad"] for frame in (now, before)]
    flipped = int(((margins[0] > 0) & (margins[1] < 0)).sum()), int(((margins[0] < 0) & (margins[1] > 0)).sum())
    text = page(client, "pairs", "tiny", suite, paradigm, 0, 24)
    assert f"{flipped[0] or 'none'} turned right and {flipped[1] or 'none'} wrong" in text


def test_token_surprisals_are_read_on_demand_and_add_up_to_the_scores(client, folder, first):
    suite, paradigm = first
    text = made(client, "pairs", "tiny", suite, paradigm, 0, 24, query="?tokens=1&sort=as in the suite")
    row = text[text.index("<tbody>") : text.index("</tr>", text.index("<tbody>"))]
    bits = [float(found) for found in re.findall(r'title="([\d.]+) bits"', row[: row.index("line bad")])]
    score = read_table(RunFolder(folder / "tiny").scores(0, suite, 24)).filter(paradigm=paradigm)["logp_good"][0]
    assert sum(bits) * 0.693147 == pytest.approx(-score, abs=0.1)


def test_a_pair_has_its_life_and_a_paradigm_its_verdict_in_words(client, folder, first):
    suite, paradigm = first
    pair = read_table(RunFolder(folder / "tiny").pairs(suite)).filter(paradigm=paradigm)["pair"][0]
    text = page(client, "pair", "tiny", suite, paradigm, pair)
    assert text.count("<tr><td") == 2 * 7 and 'data-chart="c1"' in text
    text = page(client, "paradigm", "tiny", suite, paradigm)
    reason = read_table(folder / "tiny" / "verdicts.parquet")["reason"][0]
    assert reason[1:] in unescape(text)
    assert "ontogeny audit" in text
    curve = read_table(folder / "tiny" / "curves.parquet").filter(suite=suite, paradigm=paradigm, step=24).sort("seed")["accuracy"]
    cells = "".join(f'<td class="number">{value:.3f}</td>' for value in curve)
    assert f'<th scope="row" class="number">24</th>{cells}' in text  # for browsers that draw nothing


def test_other_thresholds_are_judged_and_change_nothing(client, folder):
    before = {path: path.read_bytes() for path in (folder / "tiny").rglob("*.*")}
    text = page(client, "run", "tiny", query="?hi=0.51&cover=0.5")
    assert "verdicts change" in text or "No verdict changes" in text
    assert "cannot be tried" in page(client, "run", "tiny", query="?early=7")
    assert "cannot be tried" in page(client, "run", "tiny", query="?early=x")
    assert before == {path: path.read_bytes() for path in (folder / "tiny").rglob("*.*")}


def test_a_checkpoint_says_what_was_read_and_writes_when_it_is_asked(client):
    text = page(client, "checkpoint", "tiny", 0, 24)
    assert "What was read off it" in text and ">read<" in text
    assert made(client, "checkpoint", "tiny", 0, 24, query="?texts=1").count("<blockquote>") == 4


def test_figures_and_comparisons_are_made_when_asked_for(client):
    assert "data-chart" in made(client, "figures", "tiny")
    text = made(client, "compare", ["tiny", "<img src=x onerror=alert(1)>"])
    assert "Verdicts" in text and 'id="maps"' not in text  # their paradigms differ in one name
    sent = client.get("/compare?run=tiny&run=other", follow_redirects=False)
    assert sent.headers["location"] == "/compare/tiny,other"


def test_why_says_what_counts_the_text_first(client, first):
    assert "ontogeny evidence" in page(client, "why", "tiny", *first)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("runs/gone", "There is no run 'gone'"),
        ("runs/tiny/paradigm/none/x", "There is no suite 'none'"),
        ("runs/tiny/paradigm/micro-english/x", "There is no paradigm 'x'"),
        ("runs/tiny/checkpoint/0/3", "There is no checkpoint at step '3'"),
        ("runs/tiny/checkpoint/7/24", "There is no seed '7'"),
        ("runs/..%2f..%2fetc/figures", "There is no"),
        ("studies/none", "There is no study 'none'"),
        ("compare/tiny", "takes two runs"),
        ("whatever", "There is no page at /whatever"),
    ],
)
def test_what_is_not_there_is_said(client, path, said):
    found = client.get(f"/{path}")
    assert found.status_code == 404
    assert said in unescape(found.text)


def test_a_broken_table_is_named_and_the_command_that_mends_it(client):
    text = unescape(page(client, "run", "broken", status=500))
    assert "curves.parquet cannot be read" in text and "ontogeny verdicts" in text


def test_hostile_names_and_sentences_are_shown_as_text(client, folder):
    nasty, climbs, script = "<img src=x onerror=alert(1)>", "../<b>up</b>", "<script>alert(2)"
    suite = read_table(folder / nasty / "verdicts.parquet")["suite"][0]
    asked = [("runs",), ("run", nasty), ("paradigm", nasty, suite, climbs), ("pairs", nasty, suite, climbs, 0, 24)]
    for names in asked:
        text = page(client, *names)
        for bad in ("<img", "<b>up", script, "\x1b"):
            assert bad not in text, names
    assert "&lt;script&gt;" in text and "␛turn" in text


def test_only_get_under_an_own_name_and_with_the_policy(folder):
    own = TestClient(app(RunShelf(folder), ["127.0.0.1"]), base_url=HERE)
    found = own.get("/")
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "http" not in policy and "'unsafe-inline'" not in policy.split("style-src")[0]
    assert found.headers["x-content-type-options"] == "nosniff"
    assert own.post("/").status_code == own.delete("/runs/tiny").status_code == 405
    assert own.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert own.get("/assets/../server.py").status_code == 404
    assert own.get("/assets/explorer.css").headers["content-type"].startswith("text/css")


def test_from_elsewhere_the_token_is_asked_for(folder):
    far = TestClient(app(RunShelf(folder), ["127.0.0.1"], "secret"), base_url=HERE)
    assert far.get("/").status_code == far.get("/?token=guess").status_code == 403
    assert far.get("/?token=secret").status_code == 200  # by the cookie that it was sent on with
    assert far.get("/runs/tiny").status_code == 200


def test_names_of_hosts_and_ports():
    assert [host_of(text) for text in ("localhost:80", "[::1]:8642", "A.B")] == ["localhost", "::1", "a.b"]
    place, at = bound("127.0.0.1", 18642)
    other, following = bound("127.0.0.1", at)
    place.close()
    other.close()
    assert following > at


def test_an_empty_folder_and_none(tmp_path):
    assert "There are no runs in this folder yet" in answer(RunShelf(tmp_path), "", {})[1]
    with pytest.raises(OntogenyError, match="ontogeny run quickstart"):
        RunShelf(tmp_path / "none")


def test_a_run_that_is_being_written_is_seen_as_it_comes_and_goes(own_run):
    shelf = RunShelf(own_run.parent)
    run = shelf.run("tiny")
    before = shelf.news(run)
    assert "verdicts</span>" not in answer(shelf, "", {})[1]
    (own_run / "verdicts.parquet").unlink()
    shutil.rmtree(own_run / "seed-1" / "scores")
    assert shelf.news(run) != before
    text = answer(shelf, "", {})[1]
    assert "0 of 7" in text and "ontogeny score" in text
    assert answer(shelf, "runs/tiny", {})[0] == 200
    shutil.rmtree(own_run)
    assert answer(shelf, "runs/tiny", {})[0] == 404


def test_the_map_of_a_run_that_is_not_judged_yet_is_of_what_was_scored_so_far(own_run):
    cells = re.compile(r'<td class="h\d+[^"]*">.*?</td>')
    shelf, whole = RunShelf(own_run.parent), answer(RunShelf(own_run.parent), "runs/tiny", {})[1]
    for name in ("curves", "verdicts", "sensitivity"):
        (own_run / f"{name}.parquet").unlink()
    live = answer(shelf, "runs/tiny", {})[1]
    assert cells.findall(live) == cells.findall(whole)
    run, suite = RunFolder(own_run), shelf.seen(shelf.run("tiny")).suites[0]
    last = max(run.scored(0, suite))
    paths = [run.scores(seed, suite, last) for seed in (0, 1)]
    kept = [path.rename(own_run.parent / f"{number}.kept") for number, path in enumerate(paths)]
    assert f"step {last}:" in live and f"step {last}:" not in answer(RunShelf(own_run.parent), "runs/tiny", {})[1]
    for path, back in zip(paths, kept, strict=True):
        back.rename(path)
    assert cells.findall(answer(shelf, "runs/tiny", {})[1]) == cells.findall(whole)


def test_the_command_for_an_arm_is_its_studys_and_can_be_copied(own_run, tmp_path):
    study = tmp_path / "a study"
    (study / "arms").mkdir(parents=True)
    (study / "study.yaml").write_text("name: a study\n")
    alone, arm = (shutil.copytree(own_run, place) for place in (tmp_path / "a run", study / "arms" / "untouched"))
    for place in (alone, arm):
        (place / "verdicts.parquet").unlink()
    rows = {row["title"]: row["missing"] for row in RunShelf(tmp_path).rows()}
    assert rows["a run"] == [("verdicts", f"ontogeny verdicts '{alone}'")]
    assert rows["a study/untouched"] == [("verdicts", f"ontogeny study run '{study}' --runs {tmp_path}")]


def test_who_works_on_a_run_is_said(own_run):
    run = RunFolder(own_run)
    with run.claimed("train-1"):
        text = answer(RunShelf(own_run.parent), "runs/tiny", {})[1]
        assert f"At work: training of seed 1, process {os.getpid()} of " in text
    (own_run / ".writer").write_text(json.dumps({"host": leases.host(), "process": 4194999}))  # more than any process has
    assert "At work" not in answer(RunShelf(own_run.parent), "runs/tiny", {})[1]


def test_what_is_no_file_is_said_and_not_waited_for(own_run):
    (own_run / "curves.parquet").unlink()
    os.mkfifo(own_run / "curves.parquet")
    status, text, _ = answer(RunShelf(own_run.parent), "runs/tiny", {})
    assert status == 500 and "curves.parquet cannot be read as parquet (it is no file)" in text


@pytest.mark.parametrize("value", ["NaN", "inf", "-1", "1e999", "<script>", "0x10", ""])
def test_thresholds_that_are_none_are_refused_as_text(client, value):
    text = page(client, "run", "tiny", query=f"?early={quote(value)}")
    assert "cannot be tried" in text and "<script>" not in text


def test_news_end_with_the_run_and_are_looked_up_once_for_all(own_run, monkeypatch):
    monkeypatch.setattr(server, "EVERY", 0.01)
    server._news.cache_clear()
    shelf = RunShelf(own_run.parent)

    async def heard():
        news = [server.changes(shelf, run) for run in ("tiny", "*")]
        said = [[await anext(one) for one in news]]
        following = [asyncio.ensure_future(anext(one)) for one in news]
        await asyncio.sleep(0)
        while server._news.cache_info().currsize < len(news):
            await asyncio.sleep(0)
        shutil.rmtree(own_run)
        return [*said, await asyncio.gather(*following), [text async for text in news[0]]]

    assert asyncio.run(heard()) == [[": here\n\n"] * 2, ["data: changed\n\n"] * 2, []]
    client = TestClient(app(shelf, ["127.0.0.1"]), base_url=HERE)
    assert client.get("/news?run=tiny").status_code == 404


def test_a_run_of_another_version_is_shown_with_what_is_known(own_run):
    (own_run / "recipe.yaml").write_text("name: tiny\nfuture: {kind: unheard-of}\n")
    status, text, _ = answer(RunShelf(own_run), "runs/tiny", {})
    assert status == 200 and 'class="heat"' in text


def test_who_looks_at_tables_waits_for_no_torch(folder, first):
    views = [("run", "tiny"), ("paradigm", "tiny", *first), ("pairs", "tiny", *first, 0, 24), ("checkpoint", "tiny", 0, 24)]
    code = (
        "import sys; from pathlib import Path\n"
        "from ontogeny.explorer.server import answer; from ontogeny.explorer.shelf import RunShelf\n"
        f"shelf, paths = RunShelf(Path({str(folder)!r})), {[address(*names) for names in views]!r}\n"
        "print([answer(shelf, path, {})[0] for path in paths], 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[200, 200, 200, 200] False\n"


def test_an_errand_is_run_once_and_says_how_far_it_has_come():
    errands, runs = Errands(), []

    def make(errand):
        runs.append(errand)
        with errand.bar("pages", 4) as advance:
            advance(1)
        return errand.says

    assert outcome(errands.ask("a", "reading", make, None)) == outcome(errands.ask("a", "reading", make, None))
    assert runs[0].says == "reading (pages, 25%)" and len(runs) == 1
    failed = errands.ask("b", "falling", lambda errand: 1 / 0, None)
    with pytest.raises(OntogenyError, match="falling: ZeroDivisionError"):
        outcome(failed)


def test_an_export_of_no_run_says_so(tmp_path):
    display = tiny.Heard()
    (tmp_path / "empty").mkdir()
    assert "no run" in export(tmp_path / "empty", tmp_path / "out", display).read_text(encoding="utf-8").lower()
    assert any("has no run in it" in said for said in display.said)
