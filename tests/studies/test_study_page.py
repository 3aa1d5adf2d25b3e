"""A study's page: complete, escaped, offline, the same each time, and there for studies that are unfinished."""

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from planned_study import BASE as TINY
from synthetic_study import CONTROLS, NAMED, SHAM, SMALL, UNTOUCHED, make_study, study_of

from ontogeny.disk import write_table
from ontogeny.pages.axes import save, taken_apart
from ontogeny.records import OntogenyError
from ontogeny.studies import edits, figures, study_file
from ontogeny.studies.analysis import Analysed, analyse
from ontogeny.studies.claims import CLAIMS
from ontogeny.studies.figures import FIGURES, StudyMaterial, all_of, critical, drawn, figure, material, rows_of
from ontogeny.studies.gathering import gather
from ontogeny.studies.page import _registration as registered
from ontogeny.studies.page import costs, render, write_study_report
from ontogeny.studies.plan import Study
from ontogeny.studies.power import POWER
from ontogeny.studies.registration import Amendment, Registration

ARMS = (*SMALL, SHAM)
STUDY = study_of(
    ARMS,
    seeds=(0, 1),
    hypothesis={"says": "Early bigrams decide.", "supported": {"P1": "supported"}, "refuted": {"P1": "refuted"}},
    question="Do <b>bigrams</b> & order decide?",
)
REGISTERED = Registration("0" * 16, "2026-11-21T10:00:00+00:00", ())


def made(folder: Path, study: Study, **options: object) -> tuple[StudyMaterial, Analysed]:
    make_study(folder, study, **options)  # type: ignore[arg-type]
    gathered = gather(folder, study)
    found = analyse(study, gathered)
    return material(study, gathered, found.claims, found.effects), found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyMaterial, Analysed]:
    return made(tmp_path_factory.mktemp("runs") / STUDY.file.name, STUDY)


@pytest.fixture(scope="module")
def own(whole: tuple[StudyMaterial, Analysed]) -> StudyMaterial:
    return whole[0]


@pytest.fixture(scope="module")
def page(own: StudyMaterial) -> str:
    return render(own, REGISTERED, {"all 1": "../arms/all-1/report/index.html"})


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> StudyMaterial:
    folder = tmp_path_factory.mktemp("runs") / "partial"
    return made(folder, STUDY, pairs=6, missing=("early 1",), short={"all 1": 900})[0]


def without_scripts(page: str) -> str:
    return re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", page, flags=re.DOTALL)


def words(page: str) -> str:
    """What the page says, without tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", without_scripts(page))))


def charts_of(page: str) -> dict[str, dict[str, object]]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_the_page_asks_the_network_for_nothing(page: str) -> None:
    markup = without_scripts(page)
    assert not re.search(r"https?://|//cdn|@import|url\(", markup)
    assert not re.search(r"<(link|iframe|img|script)[^>]+(src|href)=", markup)
    assert "default-src 'none'" in page
    assert "http" not in json.dumps(charts_of(page))


def test_every_figure_can_be_drawn_and_none_is_lost(page: str) -> None:
    store = charts_of(page)
    assert set(re.findall(r'data-(?:chart|narrow)="(c\d+)"', page)) == set(store["charts"])
    for spec, used in store["charts"].values():  # type: ignore[misc]
        assert spec in store["specs"] and set(used.values()) <= set(store["tables"])


def test_links_inside_the_page_lead_somewhere(page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_every_prediction_is_there_with_figure_interval_and_what_would_refute_it(page: str, own: StudyMaterial) -> None:
    said = words(page)
    for name, asked in STUDY.file.predictions.items():
        row = own.claims.filter(prediction=name).row(0, named=True)
        assert f"{name}{row['verdict']} {asked.says}".replace(" ", "") in said.replace(" ", "")
    assert "Slope of early margin (nats) over bigram margin (nats): +" in said
    assert "It would have been refuted by a whole interval within ±0.02." in said
    assert "95 % interval" in said and "“Early bigrams decide” is supported as a whole" in said
    assert "Of 3 predictions, " in said


def test_question_and_names_are_escaped(page: str) -> None:
    assert "Do &lt;b&gt;bigrams&lt;/b&gt; &amp; order decide?" in page
    assert "<b>she</b>" not in page and "dog &lt;i&gt;0&lt;/i&gt;" in page


def test_the_same_study_gives_the_same_page(page: str, own: StudyMaterial) -> None:
    assert render(own, REGISTERED, {"all 1": "../arms/all-1/report/index.html"}) == page


def test_registration_and_its_changes(page: str) -> None:
    said = words(page)
    assert "Registered on 2026-11-21T10:00:00+00:00 (0000000000000000), before the first arm was run. Nothing was changed" in said
    change = Amendment("2026-11-22T10:00:00+00:00", ("predictions.P1.supported.above: 0 -> -1",), (6, 7), "1")
    told = registered(Registration("0", "2026-11-21", (change,)))["changes"]
    assert "Changed on 2026-11-22T10:00:00+00:00, after it began: predictions.P1.supported.above: 0 -> -1." in told
    assert "Seeds added on 2026-11-22T10:00:00+00:00: 6, 7." in told
    assert registered(None)["sentence"] == "The predictions were not registered before it was run."


def test_edits_say_what_they_changed_and_kept(page: str) -> None:
    said = words(page)
    assert "all -1 · exchange · 40 changes · documents kept, lengths kept, unigrams kept, construction kept" in said
    assert "construction hits: 2" in said and "He said that <b>she</b> saw herself." in said
    assert "construction misses: 2" in said and "8 of 40 changes, from the first to the last" in said


def test_arms_link_to_their_pages(page: str) -> None:
    assert '<a href="../arms/all-1/report/index.html">all 1</a>' in page
    assert "exchange (dose 1), early" in page


def test_missing_arms_and_seeds_are_named(partial: StudyMaterial) -> None:
    said = words(render(partial))
    assert "Not started: early 1." in said and "Read to step 900 of 1,000: all 1, seed 1." in said
    assert "Of 5 arms with 2 seeds each, 3 arms are whole and 7 of 10 runs are there." in said
    assert "P2not there yet" in said  # its only arm is the one that is not started
    assert "1 prediction waits for arms that are not there." in said


def test_nothing_has_been_run(tmp_path: Path) -> None:
    gathered = gather(tmp_path, STUDY)
    own = material(STUDY, gathered, pl.DataFrame(schema=CLAIMS), pl.DataFrame(schema={"measure": pl.String}))
    said = words(render(own))
    assert "None of the 3 predictions can be decided yet" in said and "there is nothing to draw" in said
    with pytest.raises(OntogenyError, match="nothing to draw"):
        drawn(own, "trajectories")


def test_a_study_without_predictions_controls_or_factors(tmp_path: Path) -> None:
    study = study_of((UNTOUCHED, SHAM), (), controls=(), seeds=(0,))
    own, _ = made(tmp_path, study, pairs=4)
    page = render(own)
    said = words(page)
    assert "Nothing was predicted" in said and "Controls" not in said
    assert "that takes five seeds of an arm" in said
    assert set(charts_of(page)["charts"]) == {f"c{i}" for i in range(6)}  # two trajectories and the seeds, of two paradigms


def test_power_divided_seeds_and_what_is_open_are_told(own: StudyMaterial) -> None:
    row = {"prediction": "P2", "seeds": 3, "effect": 0.2, "supported": 0.31, "refuted": 0.9, "falsely": 0.01, "decides": False}
    rows = [row | {"seeds_needed": 9, "note": "cannot decide with 3 seeds"}, {"prediction": "P1", "note": "no effect is expected"}]
    power = pl.DataFrame([dict.fromkeys(POWER) | one for one in rows], POWER, orient="row")
    verdict = pl.when(pl.col("prediction") == "P2").then(pl.lit("undecided")).otherwise("verdict")
    divided = {"arm": "all 1", "paradigm": NAMED[0], "measure": "late_accuracy", "seeds": 8, "lower": 0.3, "upper": 0.8}
    found = pl.DataFrame([divided | {"in_lower": 3, "share": 0.99, "p": 1e-4, "p_corrected": 0.002}])
    open_ = material(own.study, own.gathered, own.claims.with_columns(verdict=verdict), own.effects)
    said = words(render(open_, divided=found, power=power))
    assert "Simulated beforehand: cannot decide with 3 seeds." in said
    assert "P23+0.2.31.90.01no9cannot" in said.replace(" ", "") and "not simulated" in said
    assert f"all 1, {NAMED[0]} (3 of 8 seeds near 0.30, the others near 0.80; p = .002)" in said


def test_costs_as_the_effects_have_them(own: StudyMaterial) -> None:
    found = costs(own)
    row = next(row for row in found["rows"] if row["arm"] == "all 1")
    effect = own.effects.filter(arm="all 1", paradigm=found["paradigms"][0], measure="learned_at").row(0, named=True)
    assert row["learned"][0]["difference"].startswith("−" if effect["difference"] < 0 else "+")
    assert row["seconds"] == "50 s" and found["whole"] == "8 min"  # 10 trainings of 1,000 steps of .05 s


def test_figures_by_name(own: StudyMaterial) -> None:
    for name in FIGURES:
        assert taken_apart(drawn(own, name))[1]
    tables = taken_apart(drawn(own, "trajectories", paradigm=NAMED[1], panel="all"))[1]
    assert {row["arm"] for row in tables["arms"]} == {"all -1", "all 1"}
    assert {row["arm"] for row in tables["reference"]} == {"untouched"}
    points = taken_apart(drawn(own, "response", paradigm=NAMED[0], measure="early_margin"))[1]
    assert {row["x"] for row in points["dosed"]} == {-2.4, 0.8}
    assert {row["arm"] for row in points["others"]} == {"sham"} and len(points["reference"]) == 2
    lines = {(row["line"], row["arm"]) for row in points["means"]}
    assert {("all", "untouched"), ("early", "untouched"), ("early", "early 1")} <= lines
    changes = taken_apart(drawn(own, "controls"))[1]["changes"]
    assert {row["paradigm"] for row in changes} == set(CONTROLS)
    with pytest.raises(OntogenyError, match="did you mean 'response'"):
        drawn(own, "responce")
    with pytest.raises(OntogenyError, match="did you mean"):
        drawn(own, "seeds", paradigm=NAMED[0][:-1])
    with pytest.raises(OntogenyError, match="no estimate for a prediction 'P9'"):
        drawn(own, "claims", prediction="P9")


def test_bands_are_means_and_extremes_over_seeds(own: StudyMaterial) -> None:
    tables = taken_apart(drawn(own, "trajectories", paradigm=NAMED[0], panel="early"))[1]
    row = next(row for row in tables["arms"] if row["step"] == 200)
    seeds = own.gathered.curves.filter(arm="early 1", paradigm=NAMED[0], step=200)["accuracy"]
    assert (row["mean"], row["low"], row["high"], row["seeds"]) == pytest.approx((seeds.mean(), seeds.min(), seeds.max(), 2))


def test_page_and_figures_are_written_and_drawn_again_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = '[{name: slow}, {name: "rate {rate}", for: {rate: [0.002, 0.02]}, settings: ["training.learning_rate={rate}"]}]'
    text = f"{{name: rates, question: Faster?, seeds: [0], reference: slow, paradigms: [{NAMED[0]}], controls: [], arms: {arms}}}"
    (tmp_path / "base.yaml").write_text(TINY, encoding="utf-8")
    study = study_file.parse(text.replace("arms:", "recipe: base.yaml, arms:"), "rates.yaml", tmp_path)
    folder = make_study(tmp_path / "rates", study, pairs=4)
    (folder / "study.yaml").write_text(study_file.dump(study), encoding="utf-8")
    gathered = gather(folder, study)
    found = analyse(study, gathered)
    for name, table in found.tables().items():
        write_table(folder / "analysis" / f"{name}.parquet", table)
    monkeypatch.setattr(figures, "TRAJECTORIES", ("accuracy",))  # fewer files
    monkeypatch.setattr(figures, "RESPONSES", ("late_accuracy",))
    page = write_study_report(folder, study, gathered, found.claims, found.effects)
    assert page == folder / "report" / "index.html" and "Faster?" in page.read_text(encoding="utf-8")
    written = {path.name for path in (page.parent / "figures").iterdir()}
    kinds = ("trajectories-accuracy", "response-late_accuracy", "seeds")
    assert written == {f"{kind}-{NAMED[0]}.{ending}" for kind in kinds for ending in ("svg", "png")}
    again = taken_apart(figure(folder, "trajectories"))[1]
    assert {row["arm"] for row in again["arms"]} == {"rate 0.002", "rate 0.02"}


def test_what_a_prediction_asks_a_slope_of_is_drawn(own: StudyMaterial) -> None:
    file = own.study.file
    margin = file.predictions["P2"].model_copy(update={"measure": "late_margin"})
    asked = replace(own.study, file=file.model_copy(update={"predictions": {**file.predictions, "P2": margin}}))
    names = {name: drawing for name, drawing in all_of(replace(own, study=asked)) if name.startswith("response")}
    measures = ("early_margin", "late_accuracy", "late_margin")
    assert set(names) == {f"response-{measure}-{paradigm}" for measure in measures for paradigm in NAMED}
    assert "late margin (nats)" in names[f"response-late_margin-{NAMED[0]}"].to_json()


def test_saved_figures_name_their_arms(own: StudyMaterial, tmp_path: Path) -> None:
    drawing = save(drawn(own, "trajectories"), tmp_path / "t.svg").read_text(encoding="utf-8")
    assert "timing: early" in drawing and "other arms" in drawing and "sham" in drawing
    drawing = save(drawn(own, "seeds"), tmp_path / "s.svg").read_text(encoding="utf-8")
    assert all(name in drawing for name in ("all -1", "early 1", "untouched"))
    names = [name for name, _ in all_of(own)]
    assert len(names) == len(set(names)) == 3 + 2 * (2 + 2 + 1) + 1  # claims; trajectories, responses and seeds of two; controls


def test_the_rows_that_a_figure_has_room_for() -> None:
    rows = [{"name": str(i), "verdict": "supported", "estimate": 0.0, "low": -0.001 * i, "high": 0.0} for i in range(30)]
    rows[4]["verdict"] = "refuted"
    found = critical(pl.DataFrame(rows), most=3)
    assert found["name"].to_list() == ["4", "28", "29"]


def test_cells_of_a_claim(own: StudyMaterial) -> None:
    assert rows_of(own, "P1")["name"].to_list() == list(NAMED)
    assert len(rows_of(own, "P5")) == len(CONTROLS) * (len(ARMS) - 1)
    assert f"{CONTROLS[0]} · all 1" in rows_of(own, "P5")["name"].to_list()


def test_facts_of_an_edit() -> None:
    facts = {"a": {"hits": ["x", {"text": "y"}], "n": 1}, "misses": [["p", "q"]], "plain": 2}
    assert edits.found_lists(facts) == [("a hits", ["x", "y"]), ("misses", ["p q"])]
    assert edits.without_lists(facts) == {"a": {"n": 1}, "plain": 2}
    table = edits.table_of(['{"line": 3, "before": "a", "after": null}', '{"after": "b"}'])
    assert table == {"columns": ["before", "after", "line"], "rows": [["a", "", "3"], ["", "b", ""]]}
