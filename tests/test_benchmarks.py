"""The arithmetic of the comparisons on paper, and their contestants on the smallest model: a number here is one that docs show."""

import json
import os
import shutil
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks is no part of the package that is installed

from benchmarks import (
    agree,
    agreement,
    coverage,
    crossover,
    epoch,
    faults,
    floor,
    gpu,
    inputs,
    mutants,
    projection,
    reading,
    relaxation,
    results,
    scoring,
    settled,
    training,
    turns,
)
from benchmarks.__main__ import COMPARISONS, OWN, parser
from benchmarks.contestants import OURS, PLAIN, SCORING, TRAINING, ours, plain
from benchmarks.inputs import Inputs
from benchmarks.pace import Enough, Pace
from benchmarks.turns import Job, Turns
from ontogeny import disk
from ontogeny import recipe as recipes
from ontogeny.evidence.logistic import roc_auc
from ontogeny.store import RunFolder
from ontogeny.suites.blimp import PHENOMENON

SENTENCES = (
    ("the dog barks", "the dog bark"),
    ("the dogs bark", "the dogs barks"),
    ("the cat sleeps", "the cat sleep"),
    ("the cats that bark sleep", "the cats that bark sleeps"),
)


# --- rounds and ratios --------------------------------------------------------------------------------------------


def test_ratios_are_taken_within_a_round():
    found = Turns()
    for number, (own, other) in enumerate([(2.0, 6.0), (4.0, 8.0), (1.0, 5.0)]):
        found.add(OURS, number, {"seconds": own})
        found.add(PLAIN, number, {"seconds": other})
    found.add("minicons", 1, {"seconds": 20.0})
    assert found.ratios(PLAIN, OURS, "seconds") == [3.0, 2.0, 5.0]
    assert found.ratios("minicons", OURS, "seconds") == [5.0]  # its one round is round 1, where ours took 4
    assert turns.spread(found.ratios(PLAIN, OURS, "seconds")) == "3.00 (2.00 to 5.00)"
    assert turns.spread([5.0]) == "5.00"
    assert turns.spread([]) == "-"


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 4), min_size=1), st.integers(0, 99))
def test_everybody_plays_as_often_as_asked_and_rounds_do_not_mix(rounds, seed):
    played = list(turns.order(rounds, seed))
    assert [number for number, _ in played] == sorted(number for number, _ in played)
    assert {name: sum(who == name for _, who in played) for name in rounds} == rounds
    assert len(set(played)) == len(played)
    assert played == list(turns.order(rounds, seed))


def test_rounds_have_orders_of_their_own():
    orders = {tuple(name for number, name in turns.order(dict.fromkeys("abcd", 6), 0) if number == n) for n in range(6)}
    assert len(orders) > 1


def test_who_fails_is_named_and_plays_no_more():
    said = []

    def take(name, number):
        if name == "broken":
            raise RuntimeError("no such model")
        return {"seconds": 1.0}

    found = turns.play({"sound": 3, "broken": 3}, take, said.append, "seconds")
    assert list(found.rounds) == ["sound"]
    assert len(found.of("sound", "seconds")) == 3
    assert [line for line in said if "broken" in line] == ["left out: broken: no such model"]


# --- pace ---------------------------------------------------------------------------------------------------------


def test_the_rate_leaves_the_warm_up_out():
    pace = Pace(2, 60.0, 5)
    pace.tokens = 100
    pace.steps = [(1010.0, 0.0, 0.0), (1011.0, 4.0, 3.0), (1012.0, 5.0, 3.5), (1013.0, 6.0, 4.0)]  # the first step ends at 1010
    assert pace.facts(1000.0) == {"tokens/s": 100.0, "tokens/processor s": 200.0, "first step": 10.0, "steps": 2}


def test_the_pace_is_known_after_the_most_steps_or_when_time_is_up():
    pace = Pace(1, 1e9, 3)
    pace.step()
    pace.step()
    with pytest.raises(Enough):
        pace.step()
    pace = Pace(2, 0.0, 99)
    pace.step()
    pace.step()  # the last of the warm-up: nothing has been measured
    with pytest.raises(Enough):
        pace.step()
    with pytest.raises(ValueError, match="2 are for warming up"):
        Pace(2, 0.0, 99).facts(0.0)


# --- reading until settled ----------------------------------------------------------------------------------------


def test_curves_have_as_many_right_pairs_and_ties_as_they_say():
    curves = pl.DataFrame({"paradigm": ["a", "a", "b"], "n": [4, 4, 2], "accuracy": [0.625, 0.25, 1.0], "ties": [1, 0, 0]})
    found = {paradigm: rows.tolist() for paradigm, rows in settled.arrays_of(curves)}
    assert found == {"a": [[1, 1, 0.5, 0], [1, 0, 0, 0]], "b": [[1, 1]]}


def test_nothing_settles_a_paradigm_below_the_floor_by_hand():
    """Of four pairs three right are +1.  That two are wrong is ruled out at 1/6 by two right ones, at 1/2 by one."""
    assert settled.floor(4, 4, 0.75, 1 / 3) == 2
    assert settled.floor(4, 4, 0.75, 1.0) == 1
    assert settled.floor(4, 0, 0.75, 1 / 3) == 2
    assert settled.floor(4, 4, 0.75, 0.3) == 3  # two wrong ones cannot both be the fourth
    assert settled.floor(4, 2, 0.75, 0.1) == 4


@pytest.mark.parametrize("rule", [settled.by_edges, settled.by_every_look, settled.by_martingale])
def test_every_rule_reads_what_is_clear_in_part_and_an_edge_whole(rule):
    order = np.random.default_rng(0).permutation(200)
    clear, edge = np.where(order < 190, 1.0, 0.0), np.where(order < 124, 1.0, 0.0)
    assert settled.read(clear, rule(200, 0.62, 1e-4))[0] < 100
    assert settled.read(edge, rule(200, 0.62, 1e-4)) == (200, 0.62)


# --- agreement ----------------------------------------------------------------------------------------------------


def test_decisions_that_matter_are_told_from_near_ties():
    reference = np.array([[-1.0, -2.0], [-1.0, -1.0001], [-3.0, -1.0], [-1.0, -1.0]])
    other = np.array([[-1.0, -0.5], [-1.0, -0.9999], [-3.0, -1.0], [-1.0, -1.0]])
    found = agreement.compare(other, reference)
    assert found.largest == 1.5
    assert found.flipped == (0,)  # a margin of 1 became -.5
    assert found.near == (1,)  # a margin of 1e-4 became -1e-4
    assert not found.close
    assert agreement.compare(reference, reference) == agreement.Agreement(0.0, (), ())


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="not the same pairs"):
        agreement.compare(np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="finite"):
        agreement.compare(np.array([[np.nan, 0.0]]), np.zeros((1, 2)))


# --- coverage of intervals ----------------------------------------------------------------------------------------


def test_simulated_paradigms_have_the_accuracy_and_the_spread_that_is_asked_for():
    drawn = list(coverage.simulated(40, coverage.sizes(50, False), 0.8, 0.1, 200, np.random.default_rng(0)))
    by_seed = np.concatenate(
        [alone for _, alone in coverage.simulated(1, coverage.sizes(10, True), 0.8, 0.1, 4000, np.random.default_rng(1))]
    )
    assert np.mean([estimate.value.mean() for estimate, _ in drawn]) == pytest.approx(0.8, abs=0.01)
    assert (by_seed.mean(), by_seed.std()) == (pytest.approx(0.8, abs=0.01), pytest.approx(0.1, abs=0.01))
    assert coverage.sizes(50, False).sum() == pytest.approx(1000, abs=30) and set(coverage.sizes(50, True)) == {20}


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_intervals_hold_the_truth_where_seeds_vary_much(seeds):
    assert coverage.covered(seeds, 50, 0.10, 300) > 0.91  # .93 or more in the long run


def test_areas_of_draws_are_those_of_the_room():
    (predictor, other), ends = coverage.endings(coverage.PHENOMENA, 3, (0.8, 0.0), 0.5, np.random.default_rng(0))
    once = np.ones((1, len(ends)), int), np.ones((1, 3), int)
    for one in (predictor, other):
        area, drawn = coverage.drawn_areas(one, ends, *once)
        assert drawn.tolist() == pytest.approx([area])
        assert area == pytest.approx(roc_auc(np.repeat(one, 3), ends.ravel()))
    assert all(coverage.area_covered(1, slopes, 0.5, 100) > 0.88 for slopes in ((0.5,), (0.8, 0.5)))  # .93 in the long run


# --- marks and projections ----------------------------------------------------------------------------------------


def test_a_mark_is_at_least_or_at_most():
    assert results.Mark("ratio", 2.0, 2.0).met
    assert not results.Mark("ratio", 1.99, 2.0).met
    assert results.Mark("share", 0.05, 0.05, least=False).met
    assert str(results.Mark("share", 0.06, 0.05, least=False)) == "MISSED: share: 0.06 (at most 0.05)"


def test_the_faster_compiled_loop_is_the_one_that_counts():
    found = Turns()
    for name, rate in {
        OURS: 100.0,
        "compiled loop, float32": 101.0,
        "compiled loop, bfloat16": 50.0,
        "Trainer, bfloat16": 40.0,
    }.items():
        found.add(name, 0, {"tokens/s": rate})
    over_trainer, over_loop = training.marks(found, "S")
    assert over_trainer.value == 2.5
    assert over_loop.value == pytest.approx(100 / 101)
    assert "float32" in over_loop.what
    assert over_loop.met


def test_a_projection_on_paper():
    run = projection.Projection(tokens=1_000_000, rate=1000.0, first_step=50.0, checkpoint=21.0, checkpoints=25)
    assert (run.training, run.scoring, run.share) == (1050.0, 525.0, 0.5)
    assert "projected, not run" in run.sentence()
    assert "50 %" in run.sentence()


def test_a_projection_from_two_comparisons(tmp_path):
    """100 s to the first step, 900 s of tokens, 25 checkpoints of 20 s: half as much again; a quarter of the pairs, an eighth."""
    trained, scored = Turns(), Turns()
    trained.add(OURS, 0, {"tokens/s": 1000.0, "first step": 100.0})
    scored.add(OURS, 0, {"seconds again": 20.0})
    facts = {"stream_tokens": 900_000, "pairs": 67_000, "pairs_of_a_paradigm": "all", "measured_text_words": 10}
    given = Inputs("M", tmp_path, (), tmp_path, tmp_path, tmp_path, facts)
    found = projection.result(trained, OURS, OURS, given, 25, scored, settled=0.25)
    assert [(mark.value, mark.met) for mark in found.marks] == [(0.5, True), (0.25, True)]
    assert found.notes[-1].startswith("until settled, with 25 % of the pairs: 12 % of the time of training")
    with pytest.raises(ValueError, match="nothing to project from"):
        projection.result(trained, OURS, OURS, given, 25, Turns())


def test_the_arithmetic_of_a_token():
    """6 N, and 12 L T d of attention."""
    assert gpu.operations(125_000_000) == 6 * 125e6 + 12 * 12 * 128 * 768


def test_operations_of_a_tree_on_paper():
    """10 nodes, 2 layers of width 4 with 16 inside: 4 x 16 + 2 x 64 = 192 a layer and node; 3 distributions over 5 tokens."""
    assert floor.operations(10, 3, 4, 2, 16, 5, 8) == (2 * 10 * 2 * 192, 4 * 10 * 2 * 8 * 4, 2 * 3 * 5 * 4)


# --- contestants --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Two checkpoints of the smallest model, and four pairs."""
    place = tmp_path_factory.mktemp("contestants")
    tokenizer = tiny.words(*(text for both in SENTENCES for text in both))
    folders = [str(tiny.save(tiny.opt(len(tokenizer), seed=seed), tokenizer, place / f"model-{seed}")) for seed in (0, 1)]
    rows = [["toy", str(i), good, bad] for i, (good, bad) in enumerate(SENTENCES)]
    (place / "pairs.json").write_text(json.dumps(rows))
    return Job(OURS, "score", 1, str(place), tuple(folders), str(place / "pairs.json"))


@pytest.mark.parametrize("bos", [True, False])
def test_our_numbers_are_the_plain_loop_s(job, bos):
    job = replace(job, bos=bos)
    own, careful = ours.scorer(job), plain.scorer(job)
    found = []
    for folder in map(Path, job.folders):  # the second with what was planned for the first
        scores, facts = own(folder)
        reference, _ = careful(folder)
        assert agreement.compare(scores, reference).close
        assert 0 < facts["share outside the passes"] <= facts["share outside the modules"] < 1
        found.append(scores)
    assert np.abs(found[0] - found[1]).max() > 0.01  # other weights, other numbers


def test_the_clock_is_taken_off_again(job):
    from ontogeny.scoring import readout

    before = readout.Readout.logps
    ours.scorer(job)(Path(job.folders[0]))
    assert readout.Readout.logps is before


def test_the_babylm_rules_are_ours_without_bos_or_with_the_tokenizer_s_own(job, tmp_path):
    given = Inputs("tiny", tmp_path, (), tmp_path, Path(job.pairs), tmp_path, {})
    folder = Path(job.folders[0])
    adding = agree.with_bos(folder, tmp_path / "adding")
    rules = next(c for c in agree.CONVENTIONS if c.tool == "BabyLM 2025")
    for place, how in ((folder, rules.plain), (adding, rules.adding)):
        assert agreement.compare(agree.ours(place, given, how), rules.ask(place, given)).largest < 1e-4
    without, with_it = (agree.ours(place, given, how) for place, how in ((folder, rules.plain), (adding, rules.adding)))
    assert np.abs(without - with_it).max() > 0.01  # so that the two conventions are told apart


def test_minicons_is_followed_in_each_of_its_ways(job, tmp_path):
    pytest.importorskip("minicons.scorer", reason="minicons is not installed: pip install 'ontogeny[benchmarks]'")
    given = Inputs("tiny", tmp_path, (), tmp_path, Path(job.pairs), tmp_path, {})
    folder = Path(job.folders[0])
    adding = agree.with_bos(folder, tmp_path / "adding")
    for convention in agree.CONVENTIONS:
        for place, how in ((folder, convention.plain), (adding, convention.adding)):
            if convention.tool == "minicons" and how is not None:
                assert agreement.compare(agree.ours(place, given, how), convention.ask(place, given)).largest < 1e-4


# --- the command line ---------------------------------------------------------------------------------------------


def test_every_command_has_its_options():
    for name in (*COMPARISONS, "all"):
        asked = parser().parse_args([name, "--pairs", "5"])
        assert (asked.command, asked.pairs) == (name, 5)
    assert parser().parse_args(["ways", "runs/mine", "blimp"]).command in OWN
    assert parser().parse_args(["training"]).size == ["S", "M"]


def test_tables_of_a_whole_comparison(tmp_path):
    """Two contestants, two rounds: the ratios of seconds are 4 and 2, those of processor time 3."""
    found = Turns()
    paths = {}
    for name in (OURS, PLAIN):
        paths[name] = tmp_path / f"{name}.npy"
        np.save(paths[name], np.array([[-1.0, -2.0], [-2.0, -1.5]]))
    for number, seconds in enumerate((4.0, 2.0)):
        again = {"seconds again": 0.5, "share outside the passes again": 0.04, "share outside the modules again": 0.2}
        told = {"seconds": 1.0, "processor": 1.0, "peak": 100.0, "way": "sentences, logits", **again}
        found.add(OURS, number, told | {"scores": str(paths[OURS])})
        found.add(PLAIN, number, {"seconds": seconds, "processor": 3.0, "peak": 200.0, "scores": str(paths[PLAIN])})
    (tmp_path / "pairs.json").write_text(json.dumps([["toy", "0", "a", "b"], ["toy", "1", "c", "d"]]))
    facts = {"pairs": 2, "pairs_of_a_paradigm": 1}
    given = Inputs("S", tmp_path, (), tmp_path, tmp_path / "pairs.json", tmp_path, facts)
    agreed = scoring.agree(found, given)
    table = scoring.cost_table(found, agreed)
    assert "| 3.00 (2.00 to 4.00) | 3.00 (3.00 to 3.00) | 200 | reference |" in table
    assert {mark.what: mark.met for mark in scoring.marks(found, given, agreed)} == {
        "plain loop's seconds over ours": True,
        "ontogeny: nats off": True,
        "ontogeny: pairs with a margin above 0.0002 decided otherwise": True,
        "second checkpoint: share of time outside the model's passes": True,
    }
    assert any("only 1 pairs of each paradigm" in note for note in scoring.remarks(found, given, agreed))


def test_a_whole_run_on_paper():
    """Ten minutes of training, five of scoring; of two checkpoints all pairs take 10 and 30 s, those that settle 4 and 16: 50 %."""
    seconds = {"train": 600.0, "score": 300.0}
    run = epoch.Read(1200, 2, 100, {"precision": "float32"}, {})
    both = [epoch.Both(5, (10.0, 4.0), (20.0, 7.0), (100, 30)), epoch.Both(1000, (30.0, 16.0), (60.0, 33.0), (100, 60))]
    found = epoch.result("M", 2, "float32", seconds, run, both)
    assert found.tables[0].splitlines()[-1] == "| 10.0 | 5.0 | 50 |"
    assert found.tables[1].splitlines()[2:] == [
        "| 5 | 10.0 | 4.0 | 40.0 | 35.0 | 30.0 |",
        "| 1,000 | 30.0 | 16.0 | 53.3 | 55.0 | 60.0 |",
        "| together | 40.0 | 20.0 | 50.0 | 50.0 | 45.0 |",
    ]
    assert [(mark.value, mark.met) for mark in found.marks] == [(0.5, True), (0.5, False)]
    assert "1,200 tokens: 2 a second" in found.notes[0]
    assert "100 pairs, float32: 150.0 s each" in found.notes[1]
    rounded = replace(run, rounding={"pairs": 9, "largest_error": 0.1234, "flipped": 1})
    alone = epoch.result("M", 2, "bfloat16", seconds, rounded)
    assert len(alone.marks) == len(alone.tables) == 1
    assert "on 9 pairs a sentence is off by up to 0.12 nats, and 1 are" in alone.notes[2]


def test_some_checkpoints_of_a_run_are_read_both_ways(finished_run, tmp_path):
    """Of those at 0, 1, 2, 8, 16 and 20 the two that divide them evenly; the run stays as it is."""
    folder = RunFolder(finished_run)
    before = folder.lineage()
    found = epoch.settle(folder, tmp_path / "copy", 2, 1)
    assert [one.step for one in found] == [2, 8]
    for one in found:
        (suite,) = folder.suites()
        assert one.pairs[0] == disk.read_table(folder.scores(0, suite, one.step)).height >= one.pairs[1] > 0
        assert all(spent > 0 for spent in (*one.seconds, *one.processor))
    assert folder.lineage() == before
    assert epoch.facts(folder).checkpoints == len(tiny.TRAINED)


def test_a_stage_that_ended_is_not_taken_again_unless_something_else_is_asked(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(epoch, "take", lambda stage, *rest: taken.append(stage) or 60.0)
    monkeypatch.setattr(epoch, "facts", lambda folder: epoch.Read(1200, 2, 100, {}, {}))

    def measure(*words):
        return epoch.measure(parser().parse_args(["epoch", "--settled", "0", *words]), "M", tmp_path)

    measure()
    assert taken == ["train", "score"]
    assert measure().data["seconds"] == {"train": 60.0, "score": 60.0}
    assert taken == ["train", "score"]
    assert "with 5 pairs of each paradigm only" in measure("--pairs", "5").notes[-1]
    assert taken == ["train", "score"] * 2


def test_the_recipe_of_a_whole_run_is_what_was_asked_for(tmp_path):
    words = ["epoch", "--pairs", "5", "--precision", "bfloat16", "--text", str(tmp_path), "--vocabulary", "300"]
    found = recipes.parse(epoch.recipe(parser().parse_args(words), "M", "run"))
    assert (found.scoring.pairs_per_paradigm, found.scoring.precision, found.corpus.path) == (5, "bfloat16", tmp_path)
    assert (found.model.size, found.tokenizer.vocab_size, found.scoring.device, found.training.device) == (
        "opt-7m",
        300,
        "cpu",
        "cpu",
    )
    assert recipes.parse(epoch.recipe(parser().parse_args(["epoch"]), "M", "run")).scoring.pairs_per_paradigm is None


def test_a_command_that_fails_says_its_last_words(tmp_path):
    with pytest.raises(RuntimeError, match="nowhere"):
        epoch.command(1, "train", str(tmp_path / "nowhere"))


def test_a_whole_run_has_25_checkpoints():
    assert len({0, *(round(share * 3730) for share in epoch.SHARES)}) == 25


def test_contestants_are_files_with_what_they_are_asked_for():
    for contestant, asked in [(c, c.door) for c in SCORING.values()] + [(c, "train") for c in TRAINING.values()]:
        path = Path(__file__).parents[1] / (contestant.module.replace(".", "/") + ".py")
        assert f"def {asked}(" in path.read_text(encoding="utf-8")


def test_inputs_are_made_of_a_text_and_a_suite(tmp_path):
    who, what = ("dog", "cat", "cow", "pig"), ("hen", "owl", "ant", "bee")
    lines = [f"the {one} saw a {other} ." for one in who for other in what] * 40
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "words.txt").write_text("\n".join(lines))
    (tmp_path / "blimp").mkdir()
    for name, (term, field) in PHENOMENON.items():
        row = {"sentence_good": "the dog saw .", "sentence_bad": "the saw dog .", "field": field, "linguistics_term": term}
        row |= {"UID": name, "pairID": "0", "one_prefix_method": False, "two_prefix_method": False}
        (tmp_path / "blimp" / f"{name}.jsonl").write_text(json.dumps(row))
    made = inputs.make(tmp_path / "work", "S", tmp_path / "text", tmp_path / "blimp", 1, vocabulary=280, words=50_000)
    assert len(made.load_pairs()) == made.facts["pairs"] == len(PHENOMENON)
    assert all((folder / "model.safetensors").exists() for folder in (*made.checkpoints, made.fresh))
    assert np.load(made.batches).shape == (inputs.STEPS, 32, 129)
    assert not (tmp_path / "work" / "text").exists() and made.run.name == "speed"


# --- inputs with one thing wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["recipes", "settings", "accuracy tables", "study files", "a run's own files"])
def test_a_handful_of_inputs_with_one_thing_wrong_end_in_an_error_for_people_or_are_taken(
    kind, finished_run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # and back
    base = tmp_path / "base"
    mutants.write(base)
    shutil.copytree(finished_run, base / "runs" / "tiny")
    for number in range(3):
        here = tmp_path / str(number)
        here.mkdir()
        outcome, where, said = faults.met(kind, number, 0, base, here)
        assert outcome in ("named", "taken"), f"{where}\n{said}"


def test_what_became_of_mutants_is_a_table_that_adds_up():
    rows = Counter({("recipes", "named"): 1200, ("recipes", "bare"): 1, ("corpora", "taken"): 3})
    assert faults.table(rows, ["recipes", "corpora"])[2:] == [
        "| recipes | 1,201 | 1,200 | 0 | 1 | 0 |",
        "| corpora | 3 | 0 | 3 | 0 | 0 |",
        "| all | 1,204 | 1,200 | 3 | 1 | 0 |",
    ]


def test_a_mutant_that_never_ends_is_a_hang_and_one_that_dies_is_bare():
    assert faults.apart(lambda: threading.Event().wait(), 0.2)[0] == "hang"
    assert faults.apart(lambda: os._exit(3), 60)[:2] == ("bare", "the process ended with status 768")
    assert faults.called(["show", "no-run"])[0] == "named"


# --- early by late ------------------------------------------------------------------------------------------------


def test_the_tables_of_early_by_late_are_those_of_its_committed_curves():
    curves = pl.read_parquet(relaxation.DOCS / "factorial.parquet").filter(paradigm=relaxation.NAMED)
    page = (relaxation.DOCS.parent / "bigram-hypothesis.md").read_text(encoding="utf-8")
    for table in (relaxation.cells, relaxation.relaxations, relaxation.shams):
        assert all(line in page for line in table(curves)), "copy what it prints: python -m benchmarks relaxation"
    assert relaxation.figure(curves).to_dict()["hconcat"]


def test_words_of_the_known_marks_are_in_small_letters_and_their_punctuation_stands_in_what_came_before():
    vocabulary = {"": 0, "<unk>": 1}
    assert reading.begun("A dog's b, a!", vocabulary) == [0, 2, 3, 4, 5, 2, 6]
    model = SimpleNamespace(logp=lambda history, token: -(10.0 * len(history) + token))
    found = reading.surprisals(SimpleNamespace(sentences=["A b, c", "b"]), vocabulary, model)
    assert list(found) == [12.0, 24.0, 41.0, 14.0]


# --- a crossover --------------------------------------------------------------------------------------------------


def test_what_is_retained_of_an_edit_by_hand():
    """A half of each is left, exactly; then by Fieller's theorem where they differ."""
    assert crossover.retained(np.ones(4), np.full(4, 0.5)) == (0.5, pytest.approx(0.5), pytest.approx(0.5))
    edit, end = np.array([1.0, 1.2, 0.8, 1.1]), np.array([0.02, 0.05, -0.01, 0.03])
    found = crossover.retained(edit, end)
    assert found.share == pytest.approx(0.09 / 4.1) and found.says == "refuted"
    for edge in (found.low, found.high):  # where the t-test of end - r edit is at .05
        left = end - edge * edit
        assert abs(left.mean()) / (left.std(ddof=1) / 2) == pytest.approx(3.182, rel=0.05)
    assert crossover.retained(edit, end + 0.4).says == "supported"
    assert crossover.retained(edit[:1], end[:1]).says == "undecided"  # one paradigm has no interval


def test_the_table_says_what_each_paradigm_kept_and_how_fast_the_rest_went():
    steps = np.array([0, 10, 20, 30, 40, 60, 80])
    rows = [(name, step, 20.0, 2 * np.exp(-max(step - 20, 0) / 10)) for name in ("wh", "self", "npi") for step in steps]
    lines = crossover.told(pl.DataFrame(rows, ["paradigm", "step", "until", "distance"], orient="row"))
    assert "| wh | +2.000 | +0.005 |" in lines and any(
        "retained: 0.00 (0.00 to 0.00), 3 paradigms: refuted" in line for line in lines
    )
    assert "T = 10 steps, D(inf) = +0.000 nats" in lines[-1] or "T = 10 steps, D(inf) = -0.000 nats" in lines[-1]
