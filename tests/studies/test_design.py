"""Designs that could not decide: arms that are one, tokenizers that differ unsaid, one seed, an outcome without room."""

import polars as pl
import pytest
import synthetic_study
import tiny

from ontogeny import disk
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.studies import study_file
from ontogeny.studies.design import check_made, doubts

PREDICTION = "P: {says: s, measure: %s, of: equivalence, supported: {within: 0.1}, refuted: {outside: 0.1}}"


def study(folder, *arms, head="seeds: [0, 1]", measure="late_accuracy"):
    """A study of the untouched tiny recipe and these arms."""
    (folder / "tiny.yaml").write_text(tiny.RECIPE, encoding="utf-8")
    lines = ["name: s", "question: q", "recipe: tiny.yaml", "paradigms: [transitive]", "reference: untouched", head]
    lines += ["arms:", "  - name: untouched", *(f"  - {arm}" for arm in arms), "predictions:", f"  {PREDICTION % measure}"]
    return study_file.parse("\n".join(lines), beside=folder)


DOSE = "{name: 'dose {n}', for: {n: [1, 2]}, interventions: [{kind: filter, patterns: ['%s']}]}"


def test_doses_that_come_out_as_one_edit_are_refused_by_name(tmp_path):
    """As two doses of an exchange do that runs out of words before the smaller is reached."""
    with pytest.raises(OntogenyError, match="arms 'dose 1' and 'dose 2' cannot be told apart: their texts came out the same"):
        check_made(study(tmp_path, DOSE % "\\b[Tt]he dog\\b(?#{n})"))
    check_made(study(tmp_path, DOSE % "\\b[Tt]he .{{n}}o"))


def test_arms_that_differ_in_more_than_their_text_may_share_it(tmp_path):
    check_made(study(tmp_path, "{name: slow, settings: [training.warmup=0.5]}", "{name: nudged, interventions: [{kind: jitter}]}"))


def test_tokenizers_learned_from_each_arms_own_text_are_refused(tmp_path):
    other = "{name: another text, settings: [corpus.seed=1]}"
    with pytest.raises(
        OntogenyError, match=r"1 arm \(another text\) with another tokenizer than 'untouched'.*tokenizer: \{kind: word, text"
    ):
        check_made(study(tmp_path, other))
    shared = "settings: ['tokenizer={kind: word, text: {kind: micro-english, words: 9000}}']\nseeds: [0, 1]"
    check_made(study(tmp_path, other, head=shared))


def test_a_tokenizer_may_be_what_an_arm_is_about(tmp_path):
    check_made(study(tmp_path, "{name: bytes, settings: ['tokenizer={kind: byte}', corpus.seed=1]}"))


@pytest.mark.parametrize("measure", ["late_accuracy", "late_margin"])
def test_one_seed_is_named(tmp_path, measure):
    own = study(tmp_path, "{name: slow, settings: [training.warmup=0.5]}", head="seeds: [3]", measure=measure)
    assert doubts(own)[0] == "one seed: P asks for a decision over seeds, and one has no interval"


def test_an_outcome_without_room_is_named_where_earlier_runs_show_it(tmp_path):
    own = synthetic_study.study_of(predictions=("P2",))
    assert doubts(own) == ["whether the reference leaves late_accuracy room to move is not known; give earlier runs (--from)"]
    synthetic_study.make_study(tmp_path, own)
    run = RunFolder(tmp_path / "arms" / "untouched")
    curves = pl.read_parquet(run.curves)
    for accuracy, side, move in ((0.01, "floor", "fall"), (0.99, "ceiling", "rise")):
        stuck = pl.when(pl.col("paradigm") == synthetic_study.NAMED[0]).then(accuracy).otherwise(0.5)
        disk.write_table(run.curves, curves.with_columns(accuracy=stuck))
        (line,) = doubts(own, [run])
        said = f"P2: late_accuracy of {synthetic_study.NAMED[0]} is {accuracy} in the reference, at its {side}, where no {move} can"
        assert line.startswith(said) and line.endswith("predict late_margin")
