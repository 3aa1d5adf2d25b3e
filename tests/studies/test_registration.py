import json
from datetime import UTC, datetime, timedelta, timezone

import planned_study
import pytest

from ontogeny.records import OntogenyError
from ontogeny.studies.registration import read, register, unsaid

FIRST = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEEDS = ("seeds: [0, 1, 2, 3, 4, 5, 6, 7]", "seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8]")
EDIT = ("refuted: {within: 0.02}", "refuted: {within: 0.2}")


@pytest.fixture
def say(tmp_path):
    """Registers the study with so many replacements, so many days after the first time."""

    def registered(*replaced, days=0):
        study = planned_study.study(tmp_path, *replaced)
        return register(tmp_path / "runs", study, lambda: FIRST + timedelta(days=days))

    return registered


def test_what_was_said_first_is_kept_with_its_date(say, tmp_path):
    first = say()
    assert (first.date, first.changes, first.edited) == ("2026-03-01T12:00:00+00:00", (), False)
    assert say(days=3) == first == read(tmp_path / "runs")
    assert first.says() == [
        f"Registered on {first.date} ({first.hash}), before the first arm was run.",
        "Nothing was changed since.",
    ]


def test_the_date_is_utc(tmp_path):
    local = datetime(2026, 3, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert register(tmp_path / "runs", planned_study.study(tmp_path), lambda: local).date == "2026-02-28T23:00:00+00:00"


def test_a_later_edit_is_appended_by_name_and_date(say):
    first, later = say(), say(EDIT, days=2)
    assert later.hash == first.hash and later.date == first.date and later.edited
    (change,) = later.changes
    assert (change.date[:10], change.what) == ("2026-03-03", ("predictions.P1.refuted.within: 0.02 -> 0.2",))
    assert later.says()[1] == f"Changed on {change.date}, after it began: predictions.P1.refuted.within: 0.02 -> 0.2."
    assert len(say(EDIT, days=4).changes) == 1  # said once
    back = say(days=5)
    assert [c.what for c in back.changes][1] == ("predictions.P1.refuted.within: 0.2 -> 0.02",)


def test_added_seeds_are_said_but_are_no_edit(say):
    say()
    added = say(SEEDS, days=1)
    assert added.changes[0].seeds_added == (8,) and not added.edited
    assert "Seeds added on 2026-03-02T12:00:00+00:00: 8." in added.says()
    taken = say(days=2)
    assert taken.edited and taken.changes[1].what == ("seed 8 taken out",)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("dose: [-1, 0.5, 1]", "dose: [-1, 0.5, 1, 2]", {"arms.all 2 added", "arms.early 2 added"}),
        ("training.batch=2", "training.batch=4", {"recipe.training.batch: 2 -> 4"}),
        ("training.warmup=0.1", "training.warmup=0.2", {"arms.warm-up x 2.training.warmup: 0.1 -> 0.2"}),
        ("paradigms: [binding]", "paradigms: [binding, islands]", {"paradigms: binding -> binding, islands"}),
        ("controls: [agreement]", "controls: [quantifiers]", {"controls: agreement -> quantifiers"}),
        ("question: Does", "question: Will", {"question: Does an early dose last? -> Will an early dose last?"}),
        ("expected:", "analysis: {confidence: 0.9}\nexpected:", {"analysis.confidence: 0.95 -> 0.9"}),
        ("of: difference\n    arms: [early 1]", "of: difference\n    arms: [all 1]", {"predictions.P2.arms: early 1 -> all 1"}),
        ("says: Early bigrams decide", "says: Bigrams decide", {"hypothesis.says: Early bigrams decide. -> Bigrams decide."}),
        (
            "kind: fake, paradigm: binding",
            "kind: fake, paradigm: all",
            {f"arms.{t} {d}.interventions.0.paradigm: binding -> all" for t in ("all", "early") for d in (-1, 0.5, 1)},
        ),
        ("late_accuracy: 0.1}", "late_accuracy: 0.3}", {"expected.late_accuracy: 0.1 -> 0.3"}),
    ],
)
def test_every_part_is_held_to_what_it_said(tmp_path, old, new, what):
    register(tmp_path / "runs", planned_study.study(tmp_path))
    study = planned_study.study(tmp_path, (old, new))
    assert set(unsaid(tmp_path / "runs", study)) == what


def test_where_it_is_computed_is_no_part_of_what_it_says(say, tmp_path):
    first = say()
    text = planned_study.BASE.replace("threads: 1", "threads: 2")
    assert text != planned_study.BASE
    study = planned_study.study(tmp_path)
    (tmp_path / "base.yaml").write_text(text, encoding="utf-8")
    moved = planned_study.study_file.load(tmp_path / "study.yaml")
    assert moved.base.training.threads == 2 != study.base.training.threads
    assert register(tmp_path / "runs", moved) == first


def test_an_edited_registration_is_found_out(say, tmp_path):
    say()
    path = tmp_path / "runs" / "registered.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["said"]["predictions"]["P1"]["refuted"]["within"] = 0.5
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(OntogenyError, match=r"does not have the hash .*: the file was edited"):
        read(tmp_path / "runs")
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(OntogenyError, match="no registration"):
        read(tmp_path / "runs")


@pytest.mark.parametrize("name", ["notes.txt", "study.yaml", "analysis", "lineage.json", ".draft.tmp"])
def test_no_study_begins_in_a_folder_of_somebody_elses(say, tmp_path, name):
    (tmp_path / "runs" / name).mkdir(parents=True)
    with pytest.raises(OntogenyError, match=r"runs is there already and was not made by ontogeny \(no registered\.json in it\)"):
        say()
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [name]


@pytest.mark.parametrize("name", [".lock", "arms", ".registered.json.7.tmp"])
def test_a_study_that_was_stopped_before_it_was_registered_begins(say, tmp_path, name):
    (tmp_path / "runs" / name).mkdir(parents=True)
    assert say().changes == ()
