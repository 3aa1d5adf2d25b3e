"""Gathering: means over windows known on paper, what is missing named, and whatever arms do not share said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from synthetic_study import B0, CONTROLS, NAMED, SMALL, STEPS, Study, make_study, plain, study_of

from ontogeny.disk import read_table, write_table
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.studies.figures_arms import moved
from ontogeny.studies.gathering import FRAMES, SCHEMAS, StudyFrames, gather, keep, kept
from ontogeny.studies.measures import achieved
from ontogeny.studies.outcomes import outcomes_of
from ontogeny.studies.plan import Prediction, Region
from ontogeny.trajectories.timeline import Timeline, windows

EARLY = {32: 16 / 68, 64: 34 / 68, 100: 18 / 68}  # each from halfway to its neighbours, between steps 32 and 100
LATE = {800: 25 / 200, 850: 50 / 200, 900: 50 / 200, 950: 50 / 200, 1000: 25 / 200}
STUDY = study_of(seeds=(0, 1))
UP, DOWN = Region(above=0), Region(below=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("runs") / STUDY.file.name, STUDY)


@pytest.fixture(scope="module")
def gathered(folder: Path) -> StudyFrames:
    return gather(folder, STUDY)


def two_arms(folder: Path) -> tuple[Path, Study]:
    """A study of two arms and one seed, for tests that change its files."""
    study = study_of(SMALL[:2], (), seeds=(0,))
    return make_study(folder, study, pairs=4), study


def test_every_frame_has_its_columns(gathered: StudyFrames) -> None:
    for name, schema in SCHEMAS.items():
        assert dict(getattr(gathered, name).schema) == schema, name
    arms = gathered.arms.drop("slug", "changes", "priority").to_dicts()
    assert arms[0] == {"arm": "untouched", "order": 0, "reference": True, "factor.timing": None, "factor.dose": None}
    assert arms[1] == {"arm": "all -1", "order": 1, "reference": False, "factor.timing": "all", "factor.dose": -1.0}
    assert gathered.gaps == () and gathered.notes == ()
    assert {name: gathered.seeds(name) for name in gathered.arms["arm"]} == {one.name: [0, 1] for one in STUDY.arms}


def test_means_over_the_windows_as_on_paper(folder: Path, gathered: StudyFrames) -> None:
    run = RunFolder(folder / "arms" / "early-1")
    own = gathered.outcomes.filter(arm="early 1", seed=1, paradigm=NAMED[0], pair="3").row(0, named=True)
    for window, weights in (("early", EARLY), ("late", LATE)):
        assert sum(weights.values()) == pytest.approx(1)
        scores = {step: read_table(run.scores(1, "micro", step)).filter(paradigm=NAMED[0], pair="3") for step in weights}
        margins = {step: float((one["logp_good"] - one["logp_bad"])[0]) for step, one in scores.items()}
        assert own[f"{window}_margin"] == pytest.approx(sum(weights[step] * margin for step, margin in margins.items()))
        assert own[f"{window}_accuracy"] == pytest.approx(sum(weights[step] * (margins[step] > 0) for step in margins))
    assert own["contrast"] == "c1"


def test_late_accuracy_is_what_the_verdicts_say(folder: Path, gathered: StudyFrames) -> None:
    for one in STUDY.arms:
        judged = dict(read_table(RunFolder(folder / "arms" / one.slug).verdicts).select("paradigm", "late_mean").iter_rows())
        means = gathered.outcomes.filter(arm=one.name).group_by("paradigm").agg(pl.col("late_accuracy").mean())
        assert {name: pytest.approx(value) for name, value in means.iter_rows()} == judged


def test_a_tie_is_half(tmp_path: Path) -> None:
    path, study = two_arms(tmp_path)
    run = RunFolder(path / "arms" / "untouched")
    for step in LATE:
        scores = read_table(run.scores(0, "micro", step))
        write_table(run.scores(0, "micro", step), scores.with_columns(logp_good=pl.col("logp_bad") + 0.9e-5))
    found = gather(path, study).outcomes.filter(arm="untouched")
    assert set(found["late_accuracy"]) == {0.5}
    assert found["late_margin"].to_list() == pytest.approx([0.9e-5] * len(found))


def test_verdicts_over_all_seeds_and_of_each(folder: Path, gathered: StudyFrames) -> None:
    row = read_table(RunFolder(folder / "arms" / "all-1").verdicts).filter(paradigm=NAMED[1]).row(0, named=True)
    own = gathered.verdicts.filter(arm="all 1", paradigm=NAMED[1]).sort("seed", nulls_last=False)
    assert own["seed"].to_list() == [None, 0, 1]
    assert own["verdict"].to_list() == [row["verdict"], *row["seed_verdicts"]]


def test_the_evidence_of_each_period_and_the_dose_that_was_achieved(gathered: StudyFrames) -> None:
    own = gathered.evidence.filter(arm="early 1", paradigm=NAMED[0]).sort("start")
    assert own["edited"].to_list() == [True, False]
    assert own["bigram_margin"].to_list() == pytest.approx([0.8, -0.8])  # B0 + 2 |B0| in the first tenth
    found = {(row["arm"], row["paradigm"]): row["bigram margin"] for row in achieved(gathered.evidence).to_dicts()}
    assert found["early 1", NAMED[0]] == pytest.approx(0.8)
    assert found["all -1", NAMED[0]] == pytest.approx(-2.4)
    assert found["untouched", NAMED[1]] == B0[NAMED[1]]


def test_several_edited_periods_weigh_by_their_lengths() -> None:
    rows = [("a", "p", 0.0, 0.1, 1.0, True), ("a", "p", 0.1, 0.5, 0.0, True), ("a", "p", 0.5, 1.0, 9.0, False)]
    frame = pl.DataFrame(rows, schema=SCHEMAS["evidence"], orient="row")
    assert achieved(frame)["bigram margin"].to_list() == pytest.approx([0.2])


def test_losses_costs_and_edits(gathered: StudyFrames) -> None:
    assert gathered.losses.filter(arm="all 1", seed=1)["step"].to_list() == list(STEPS)
    cost = gathered.costs.filter(arm="all 1", seed=0).row(0, named=True)
    assert (cost["steps"], cost["tokens"], cost["words"]) == (1000, 512_000, 400_000.0)
    assert cost["seconds"] == pytest.approx(50)
    edit = gathered.edits.filter(arm="all 1").row(0, named=True)
    assert (edit["number"], edit["kind"]) == (1, "exchange")
    assert json.loads(edit["facts"])["settings"]["dose"] == 1.0
    assert all(one["kept"] for one in json.loads(edit["promises"]))
    lines = [json.loads(line)["line"] for line in gathered.samples.filter(arm="all 1")["change"]]
    assert lines[0] == 0 and lines[-1] == 39 and lines == sorted(set(lines)) and len(lines) == 8
    assert set(gathered.samples["of"]) == {40}


def test_what_is_missing_is_named_and_left_out(tmp_path: Path) -> None:
    study = study_of(SMALL[:3], (), seeds=(0, 1))
    path = make_study(tmp_path, study, pairs=4, missing=("all -1",), short={"all 1": 900})
    found = gather(path, study)
    assert [(gap.arm, gap.seed, gap.why) for gap in found.gaps] == [
        ("all -1", None, "not started"),
        ("all 1", 1, "read to step 900 of 1,000"),
    ]
    assert found.seeds("all 1") == [0] and found.seeds("all -1") == []
    for name in ("curves", "outcomes", "losses", "costs"):
        frame = getattr(found, name)
        assert "all -1" not in set(frame["arm"])
        assert set(frame.filter(arm="all 1")["seed"]) == {0}, name


def test_a_checkpoint_that_one_seed_lacks(tmp_path: Path) -> None:
    study = study_of(SMALL[:2], (), seeds=(0, 1))
    path = make_study(tmp_path, study, pairs=4)
    run = RunFolder(path / "arms" / "untouched")
    write_table(run.curves, read_table(run.curves).filter((pl.col("seed") != 0) | (pl.col("step") != 64)))
    assert [(gap.seed, gap.why) for gap in gather(path, study).gaps] == [(0, "not read at step 64, as other seeds were")]


def test_nothing_is_there_yet(tmp_path: Path) -> None:
    found = gather(tmp_path, STUDY)
    assert len(found.gaps) == len(STUDY.arms) and found.curves.is_empty() and len(found.arms) == len(STUDY.arms)


def test_a_window_without_scores_is_an_error_that_says_which(tmp_path: Path) -> None:
    path, study = two_arms(tmp_path)
    RunFolder(path / "arms" / "untouched").scores(0, "micro", 900).unlink()
    with pytest.raises(OntogenyError, match="seed 0 has no scores on micro at step 900"):
        gather(path, study)


def test_arms_that_do_not_share_what_they_should(tmp_path: Path) -> None:
    path, study = two_arms(tmp_path)
    run = RunFolder(path / "arms" / "all-minus-1")
    (run.tokenizer / "tokenizer.json").write_text('{"other": 1}', encoding="utf-8")
    first = run.scores(0, "micro", 0)
    write_table(first, read_table(first), {"weights": "others"})
    write_table(run.pairs("micro"), read_table(run.pairs("micro")), {"key": "other pairs"})
    run.note(engine={"threads": 2}, versions={"torch": "9"})
    notes = "\n".join(gather(path, study).notes)
    for said in ("another tokenizer", "another engine", "other pairs", "other versions"):
        assert f"Arm 'all -1' has {said}" in notes
    assert "Arm 'all -1' does not begin from the weights of 'untouched' (seed 0)" in notes
    assert "other checkpoints" not in notes


def test_windows_are_the_references(tmp_path: Path) -> None:
    path, study = two_arms(tmp_path)
    run = RunFolder(path / "arms" / "all-minus-1")
    run.note(tokens={"train": {"unigram_entropy": 4.5}})  # nats, between the dev losses at steps 32 and 64
    found = gather(path, study)
    starts = found.spans.filter(window="early")
    assert starts["start"].to_list() == [32.0, 32.0]
    assert any(
        "'all -1' counts as untrained until step 64; its early window is the reference's, from step 32" in n for n in found.notes
    )
    alone = gather(path, study_of((*SMALL[1:2], plain("gone", "")), (), seeds=(0,), reference="gone"))
    assert alone.spans.filter(window="early")["start"].to_list() == [64.0]
    assert any("The reference is not there" in note for note in alone.notes)


def test_only_the_paradigms_that_the_study_asks_about(folder: Path) -> None:
    assert set(gather(folder, study_of(controls=None)).curves["paradigm"]) == {*NAMED, *CONTROLS}
    study = study_of(controls=(CONTROLS[0],))
    assert set(gather(folder, study).curves["paradigm"]) == {*NAMED, CONTROLS[0]}
    exam = Prediction(says="It rises.", measure="late_accuracy", of="difference", paradigms="exam", supported=UP, refuted=DOWN)
    asked = replace(study, file=study.file.model_copy(update={"predictions": {"exam": exam}}))
    assert set(gather(folder, asked).curves["paradigm"]) == {*NAMED, *CONTROLS}  # whose half is held back is for its guards
    found = gather(folder, study_of(controls=(CONTROLS[0],), paradigms=(NAMED[0], "nowhere")))
    assert set(found.curves["paradigm"]) == {NAMED[0], CONTROLS[0]}
    assert "nowhere is in no suite that was read." in found.notes


def test_paradigms_that_are_not_of_two_sentences_are_left_out_or_refused_by_name(tmp_path: Path) -> None:
    path, study = two_arms(tmp_path)
    for one in study.arms:
        run = RunFolder(path / "arms" / one.slug)
        others = read_table(run.curves).filter(paradigm=CONTROLS[0]).with_columns(paradigm=pl.lit("five"), chance=pl.lit(0.2))
        write_table(run.curves, pl.concat([read_table(run.curves).with_columns(chance=pl.lit(0.5)), others]))
        write_table(run.correlations, pl.DataFrame({"paradigm": ["rated"], "step": [4], "rho": [0.5]}))
    found = gather(path, replace(study, file=study.file.model_copy(update={"controls": None})))
    assert "five" not in {*found.curves["paradigm"], *found.outcomes["paradigm"]}
    assert "Left out, as effects are on pairs of two sentences and these have more options: five." in found.notes
    found = gather(path, replace(study, file=study.file.model_copy(update={"controls": ("rated",)})))
    assert "rated has graded items, which have correlations and no verdict." in found.notes
    with pytest.raises(OntogenyError, match="five has items of more than two options, and a study's effects are of two"):
        gather(path, replace(study, file=study.file.model_copy(update={"controls": ("five",)})))


def test_seeds_of_somebody_else_are_left_out(folder: Path) -> None:
    found = gather(folder, study_of(seeds=(1,)))
    assert found.seeds("untouched") == [1]
    assert any("'untouched' has seeds that are not of the study and are left out: 0" in note for note in found.notes)


def test_a_broken_recipe_is_named(tmp_path: Path) -> None:
    path, study = two_arms(tmp_path)
    recipe = RunFolder(path / "arms" / "untouched").recipe
    recipe.write_text("verdicts: {late: 7}", encoding="utf-8")
    with pytest.raises(OntogenyError, match=r"recipe\.yaml: the verdicts cannot be read"):
        gather(path, study)
    recipe.write_text("verdicts: [", encoding="utf-8")
    with pytest.raises(OntogenyError, match=r"recipe\.yaml:1: not valid YAML"):
        gather(path, study)


def test_what_is_kept_is_what_was_gathered(gathered: StudyFrames, tmp_path: Path) -> None:
    keep(gathered, tmp_path)
    again = kept(tmp_path)
    assert all(getattr(again, name).equals(getattr(gathered, name)) for name in FRAMES)
    assert (again.gaps, again.notes, again.lineages) == (gathered.gaps, gathered.notes, gathered.lineages)
    with pytest.raises(OntogenyError, match=r"gathered.json does not exist"):
        kept(tmp_path / "elsewhere")


def test_changes_are_paired_by_seed() -> None:
    rows = [("ref", 0, "p", 0.5), ("ref", 1, "p", 0.7), ("x", 1, "p", 0.6), ("x", 2, "p", 0.9)]
    frame = pl.DataFrame(rows, schema=["arm", "seed", "paradigm", "late_accuracy"], orient="row")
    found = moved(frame, "ref").row(0, named=True)
    assert found["change"] == pytest.approx(-0.1) and found["seeds"] == 1  # seed 1 alone is in both


def test_pairs_means_are_the_same_again(tmp_path):
    """Sums are rounded by their order: two analyses of the same scores would differ where it is any."""
    run, steps, chance = RunFolder(tmp_path), tuple(range(16)), np.random.default_rng(0)
    pairs = pl.DataFrame({"paradigm": ["a"] * 3000, "pair": [str(number) for number in range(3000)]})
    texts = {"good": "he ran", "bad": "he run", "contrast": "ran|run"}
    write_table(run.pairs("s"), pairs.with_columns(**{name: pl.lit(text) for name, text in texts.items()}))
    for step in steps:
        scores = pairs.with_columns(logp_good=chance.normal(size=len(pairs)), logp_bad=pl.lit(0.0))
        write_table(run.scores(0, "s", step), scores.with_columns(tokens_good=pl.lit(2), tokens_bad=pl.lit(2)))
    view = windows(Timeline(steps, steps[-1]), Thresholds())
    first, *again = (outcomes_of(run, {"s": ["a"]}, [0], view, Thresholds())[0] for _ in range(12))
    assert all(found.equals(first) for found in again)
