"""What a guarded study may look at, and what it refuses."""

from dataclasses import replace

import planned_study
import polars as pl
import pytest

from ontogeny.interventions.counter_evidence import CounterEvidence
from ontogeny.interventions.down_weight import DownWeight
from ontogeny.interventions.history_dropout import HistoryDropout
from ontogeny.records import OntogenyError
from ontogeny.studies import guards
from ontogeny.studies.claims import claims
from ontogeny.studies.measures import Measures
from ontogeny.studies.plan import Guards
from ontogeny.suites.blimp import AGREEMENT

MIRRORS = Guards().mirrors


def guarded(study, **fields):
    return replace(study, file=study.file.model_copy(update={"guards": Guards(**fields)}))


def test_the_67_are_split_once_within_phenomena_with_mirrors_together():
    names = [name for own in AGREEMENT.values() for name in own]
    found = guards.halves(names, MIRRORS)
    again = guards.halves(reversed(names), MIRRORS)
    assert found == again and sorted(found) == sorted(names)
    counts = {half: list(found.values()).count(half) for half in set(found.values())}
    assert abs(counts["development"] - counts["exam"]) <= 3
    for one, other in MIRRORS:
        assert found[one] == found[other]
    for own in AGREEMENT.values():
        assert {found[name] for name in own} == {"development", "exam"}


@pytest.fixture
def study(tmp_path):
    return planned_study.study(tmp_path)


HALVES = guards.halves(guards.PHENOMENON, MIRRORS)
MINE, HELD = (next(name for name, half in HALVES.items() if half == wanted) for wanted in ("development", "exam"))


def with_paradigms(study, *names, **fields):
    file = study.file.model_copy(update={"paradigms": names, "controls": (), "guards": Guards(**fields)})
    return replace(study, file=file)


def changed(study, part):
    """The study with its reference and one arm, which has this part."""
    arm = replace(study.arms[1], recipe=study.arms[1].recipe.model_copy(update={"interventions": (part,)}))
    return replace(study, arms=(study.arms[0], arm))


def test_a_question_about_the_exam_half_is_refused_and_an_alarm_on_it(study):
    with pytest.raises(OntogenyError, match=f"paradigms: {HELD} is held back for the exam"):
        guards.check(with_paradigms(study, HELD, washout=0))
    alarm = CounterEvidence(alarms=(HELD,), reference="R")
    with pytest.raises(OntogenyError, match=f"arm .*: alarms: {HELD} is held back"):
        guards.check(with_paradigms(changed(study, alarm), MINE))
    guards.check(with_paradigms(changed(study, alarm.model_copy(update={"alarms": (MINE,)})), MINE))
    guards.check(study)  # no guards, nothing to refuse


@pytest.mark.parametrize(
    "part, mend",
    [(DownWeight(), "set pace: linear"), (CounterEvidence(alarms=(MINE,), reference="R", when={}), "when.until to 0.8")],
)
def test_what_moves_the_optimum_or_the_text_is_gone_by_the_end(study, part, mend):
    with pytest.raises(OntogenyError, match=f"{part.kind} holds beyond 80% of training.*{mend}"):
        guards.check(with_paradigms(changed(study, part), MINE))
    guards.check(with_paradigms(changed(study, part), MINE, washout=0))
    guards.check(with_paradigms(changed(study, HistoryDropout(pace="fixed")), MINE))  # of the context alone


def test_the_exam_is_in_no_frame_until_it_is_opened_and_is_opened_once(study, tmp_path, monkeypatch):
    own, frames, held = guarded(study, mirrors=()), planned_study.frames(study), "binding"
    monkeypatch.setattr(guards, "halves", lambda paradigms, mirrors: {name: "exam" if name == held else "" for name in paradigms})
    tmp_path = tmp_path / "study"
    closed = guards.seen(own, tmp_path, frames)
    assert held not in set(closed.curves["paradigm"]) and held not in set(closed.outcomes["paradigm"])
    guards.registration.register(tmp_path, own)
    monkeypatch.setattr(guards, "missing", lambda study, folder: [])
    record = guards.open_exam(own, tmp_path)
    assert guards.opened(tmp_path) == record and record["registered"] == guards.registration.read(tmp_path).hash
    assert held in set(guards.seen(own, tmp_path, frames).curves["paradigm"])
    with pytest.raises(OntogenyError, match=r"was opened on .* and is opened once"):
        guards.open_exam(own, tmp_path)


def test_nothing_is_opened_while_a_training_is_missing(study, tmp_path):
    with pytest.raises(OntogenyError, match=r"trainings of .* are missing, the first 'untouched' with seed"):
        guards.open_exam(guarded(study), tmp_path)
    with pytest.raises(OntogenyError, match="has no guards"):
        guards.open_exam(study, tmp_path)


def test_mirrors_are_judged_by_their_mean(study):
    """One paradigm rises by what the other falls: nothing."""
    named = ("binding", "agreement")
    study = replace(study, file=study.file.model_copy(update={"paradigms": named, "controls": ()}))
    mirrored = guarded(study, mirrors=(named,), washout=0)
    frames = planned_study.frames(study)
    sign = pl.when(pl.col("paradigm") == named[0]).then(0.3).otherwise(-0.3) * (pl.col("arm") != "untouched")
    frames.outcomes = frames.outcomes.with_columns(**{name: pl.lit(0.5) + sign for name in ("late_accuracy", "early_margin")})
    found = claims(mirrored, Measures(mirrored, frames))
    both = found.filter(pl.col("paradigm") == " and ".join(named), pl.col("measure") == "late_accuracy")
    assert len(both) and both["estimate"].abs().max() == pytest.approx(0, abs=1e-9)
    alone = claims(study, Measures(study, frames)).filter(pl.col("paradigm") == named[0], pl.col("measure") == "late_accuracy")
    assert alone["estimate"].abs().max() == pytest.approx(0.3)


def test_neutral_is_not_right(study):
    frames, name = planned_study.frames(study), study.file.paradigms[0]
    level = pl.col("arm").replace_strict({study.arms[0].name: 0.1, study.arms[1].name: 0.9}, default=0.5)
    frames.outcomes = frames.outcomes.with_columns(late_accuracy=level)
    own = guarded(study, stuck=(name,), washout=0)
    states = [row["state"] for row in guards.reached(own, Measures(own, frames))]
    assert states[:3] == ["wrong", "right", "neutral"]


def test_added_text_with_eight_words_of_a_suite_is_refused_with_the_line(study, tmp_path, monkeypatch):
    class Suite:
        name = "micro"

        def pairs(self):
            yield type("Pair", (), {"paradigm": "wh", "good": "A b c d e f g, h i.", "bad": "a b"})

    own = guarded(study)
    own = replace(own, base=own.base.model_copy(update={"suites": (Suite(),)}))
    folder = tmp_path / "arms" / study.arms[1].slug / "interventions"
    folder.mkdir(parents=True)
    told = folder / "01-inject.jsonl"
    told.write_text('{"text": "b c d e f g h", "before": null}\n{"text": "x b c d e f g h i y", "removed": "why"}\n')
    guards.check_texts(own, tmp_path)
    with told.open("a") as file:
        file.write('{"text": "x B c d e f g h, i y", "before": null}\n')
    with pytest.raises(OntogenyError, match=r"01-inject.jsonl:3: arm .* adds 'b c d e f g h i', which stands in micro, wh"):
        guards.check_texts(own, tmp_path)


def test_a_confirmation_takes_seeds_that_chose_nothing(study, tmp_path):
    own = guarded(study, confirms=("screen",))
    with pytest.raises(OntogenyError, match=r"guards.confirms: no study 'screen' is registered under"):
        guards.check_fresh(own, tmp_path)
    before = replace(study, file=study.file.model_copy(update={"seeds": (*study.file.seeds[:1], 900)}))
    guards.registration.register(tmp_path / "screen", before)
    with pytest.raises(OntogenyError, match=f"seeds {study.file.seeds[0]} chose in screen what is to be confirmed here"):
        guards.check_fresh(own, tmp_path)
    guards.check_fresh(replace(own, file=own.file.model_copy(update={"seeds": (901, 902)})), tmp_path)
    guards.check_fresh(study, tmp_path)


def test_where_words_are_held_out_interventions_look_at_the_others_and_pairs_are_judged_at_these(study):
    part = CounterEvidence(alarms=(MINE,), reference="R")
    with pytest.raises(OntogenyError, match="counter-evidence looks at every word, and some are held out; set words: half"):
        guards.check(with_paradigms(changed(study, part), MINE, held_out_words=True))
    guards.check(with_paradigms(changed(study, part.model_copy(update={"words": "half"})), MINE, held_out_words=True))
    frames, name = planned_study.frames(study), study.file.paradigms[0]
    held = pl.col("pair").cast(pl.Int64) % 2 == 1
    frames.outcomes = frames.outcomes.with_columns(held=held, late_accuracy=held.cast(pl.Float64))
    means = [
        Measures(guarded(study, held_out_words=words), frames).values("late_accuracy", name).means().mean()
        for words in (False, True)
    ]
    assert means == pytest.approx([0.5, 1])


def test_an_arm_that_takes_twice_as_long_is_read_at_half_its_training_too(study):
    frames, name, slow = planned_study.frames(study), study.file.paradigms[0], study.arms[1].name
    rows = [(arm.name, seed, 50, 5000, 50.0, 20.0 if arm.name == slow else 10.0) for arm in study.arms for seed in study.file.seeds]
    frames.costs = planned_study.table(rows, ["arm", "seed", "steps", "tokens", "words", "seconds"])
    rising = pl.when(pl.col("arm") == slow).then(pl.col("step") / 50).otherwise(0.5)
    frames.curves = frames.curves.with_columns(accuracy=rising)
    frames.losses = frames.curves.select("arm", "seed", "step", dev_loss=5 - pl.col("step") / 50).unique()
    found = {row["arm"]: row for row in guards.equal(guarded(study, stuck=(name,), washout=0), frames)}
    assert found[slow]["times"] == {"tokens": 1, "seconds": 2}
    assert (found[slow]["whole"], found[slow]["same"]) == ((1.0, 4.0), (pytest.approx(0.4), pytest.approx(4.6)))  # at step 20 of 50
    assert found[study.file.reference]["same"] == found[study.file.reference]["whole"]
