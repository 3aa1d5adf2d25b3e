"""Only what a study here supported in a run's own world is proposed; all else is named as not shown."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from ontogeny import registry
from ontogeny.commands import unsticking

ROOT = Path(__file__).parents[2]
CONTRAST = ("undecided", "undecided in cue", "refuted in micro-english")  # what was found in a run's own world comes first


@pytest.fixture
def run(monkeypatch):
    rows = [
        ("micro", "wh", 2, "undecided", 0, 0.46, ["late-wrong", "learned"]),
        ("micro", "npi", 2, "entrenched", -1, 0.1, ["entrenched", "entrenched"]),
        ("micro", "gone", 2, "forgotten", -1, 0.2, ["forgotten", "forgotten"]),
        ("micro", "alone", 1, "unobserved", -1, 0.47, None),
        ("micro", "right", 1, "unobserved", 1, 0.9, None),
        ("micro", "anaphor", 2, "learned", 1, 0.9, ["learned", "learned"]),
    ]
    columns = ["suite", "paradigm", "seeds", "verdict", "late_state", "late_mean", "seed_verdicts"]
    verdicts = pl.DataFrame(rows, columns, orient="row")
    cases = pl.DataFrame({"suite": "micro", "paradigm": ["wh", "wh", "npi"], "seed": [0, 1, 0], "b": [-1.0, -2.0, 0.25]})

    def of(**corpus):
        there = SimpleNamespace(exists=lambda: True)
        made = SimpleNamespace(
            folder=SimpleNamespace(verdicts=there, evidence=lambda name: there),
            recipe=SimpleNamespace(corpus=SimpleNamespace(**corpus)),
            verdicts=lambda: verdicts,
            evidence=lambda name: cases,
        )
        monkeypatch.setattr(unsticking, "Run", lambda path, display: made)
        wrong = {"wh": 1, "npi": 2, "alone": 1, "gone": 2, "right": 0, "anaphor": 0}
        counted = pl.DataFrame({"suite": "micro", "paradigm": list(wrong), "wrong": list(wrong.values())})
        monkeypatch.setattr(unsticking, "wrong_seeds", lambda run: counted)
        return unsticking.unstick(Path("run"))

    return of


def test_for_real_text_nothing_is_proposed_and_it_is_said(run):
    found = run(kind="text")
    assert not found.proposals and found.stuck == (
        "npi: entrenched, late accuracy 0.10; bigrams are for it by 0.2 nats",
        "gone: forgotten, late accuracy 0.20",
        "wh: undecided, wrong in 1 of 2 seeds, late accuracy 0.46; bigrams are against it by 1.5 nats",
        "alone: unobserved, late accuracy 0.47",
    )
    said = "\n".join(found.says())
    assert "Nothing is proposed: no registered study of text supported any way to free a stuck paradigm." in said
    assert "never tried in text" in said and len(found.not_shown) == len(unsticking.findings())
    own = [one for one in found.not_shown if one.startswith("bigram contrast: ")]  # tried in text, cue and micro-English
    assert [one.split(" (")[0] for one in own] == [f"bigram contrast: {one}" for one in CONTRAST]
    assert next(one for one in found.not_shown if one.startswith("down-weight: ")).split(" (")[0].endswith("never tried in text")
    assert "+0.02, 1 seed;" in said


def test_in_the_world_of_a_supported_finding_it_is_proposed_with_effect_and_cost(run):
    found = run(kind="formal", language="cue")
    assert [one.source for one in found.proposals] == ["studies/nudge.yaml, registered 2026-11-29 (c34dc4a02223f708)"]
    assert found.proposals[0].effect == "more seeds end with the rule: share of seeds +0.35 (+0.18 to +0.52), 32 seeds"
    assert found.proposals[0].cost == "-0.035 nats of dev loss (-0.047 to -0.023), more time: none"


def test_every_finding_names_a_study_that_is_there_and_parts_that_are_known():
    for one in unsticking.findings():
        decided = {"frees", "effect", "cost"} if one["verdict"] != "not run" else set()
        assert one["verdict"] in ("supported", "refuted", "undecided", "not run") and {"name", "says"} | decided <= one.keys()
        source = one["source"].split(",")[0].split(";")[0]
        assert not source.startswith("studies/") or (ROOT / source).exists()
        for part in one.get("interventions", ()):
            registry.load("intervention", part["kind"]).model_validate(part)
