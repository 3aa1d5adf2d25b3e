"""A run's n-gram evidence on the tiny run: every table against brute force, made once, made anew when what it stands on changes."""

import json
import math
import shutil
from functools import cache

import numpy as np
import polars as pl
import pytest
import tiny
from ngrams.by_definition import Model, counts
from safetensors.torch import load_file, save_file

from ontogeny import disk, ngram_evidence, store
from ontogeny.commands import adoption
from ontogeny.display import Display
from ontogeny.instruments import WITH_EVIDENCE
from ontogeny.laboratory import Run
from ontogeny.ngrams.kneser_ney import estimate
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.training import order as data_order

SUITE, ORDER, BOS = "micro-english", 3, 2
TABLES = {
    *("margins", "ngram_curves", "ladder", "rungs"),
    *("cases", "foretold", "predictions", "contests", "tables", "matched"),
}
NONE_OBSERVED = {"predictions", "tables"}  # ten pairs are too few for a verdict: these have no row
OF_SCORES = TABLES - {"margins", "ngram_curves"} | set(WITH_EVIDENCE)
OF_CURVES = {"cases", "foretold", "predictions", "contests", "tables", "matched"}


def trained(folder):
    """The run as if it had learned something: its dev loss below the entropy of its text from the first step on."""
    facts = folder / "tokens" / "train.json"
    disk.write_json(facts, disk.read_json(facts) | {"unigram_entropy": 99.0})
    return folder


@pytest.fixture(scope="module")
def examined(finished_run, tmp_path_factory):
    """The folder of a run with its evidence.  Nothing may change it: `own` is a copy to change."""
    folder = tmp_path_factory.mktemp("runs") / finished_run.name
    shutil.copytree(finished_run, folder)
    Run(trained(folder)).examine(ORDER)
    return folder


@pytest.fixture
def own(examined, tmp_path):
    folder = tmp_path / "runs" / examined.name
    shutil.copytree(examined, folder)
    return folder


def stamps(folder, part="evidence"):
    return {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in (folder / part).rglob("*") if file.is_file()}


def made_anew(folder, order=ORDER):
    """Tables of the evidence, and instruments that have read any checkpoint."""
    parts = ("evidence", "seed-0/readings", "seed-1/readings")
    before = {part: stamps(folder, part) for part in parts}
    Run(folder).examine(order)
    found = {file for part in parts for file, stamp in stamps(folder, part).items() if before[part].get(file) != stamp}
    return {file.stem if file.parent.name == "evidence" else file.parent.name for file in found}


def table(run, name):
    return run.reading(name).collect() if name in WITH_EVIDENCE else run.evidence(name)


# --- brute force --------------------------------------------------------------------------------------------------


def by_definition(ids, vocabulary, order, seen=None):
    """Kneser-Ney of one order from dictionaries, with the discounts that each level's counts give."""
    model = Model([counts(ids, n, BOS, seen) for n in range(1, order + 1)], order, vocabulary, BOS, None)
    discounts = [estimate(np.array([*level.values()])) for level in model.levels]
    model.discount = lambda n, count: float(discounts[n - 1].of(np.array([count]))[0])
    return cache(model.p)


def margin(p, tokenizer, row, order):
    def logp(text):
        tokens = [BOS, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        return sum(math.log(p(tokens[i], tuple(tokens[max(0, i + 1 - order) : i]))) for i in range(1, len(tokens)))

    found = logp(row["good"]) - logp(row["bad"])
    return 0.0 if abs(found) < 1e-9 else found


def trained_over(run, seed, step):
    """Which tokens the batches up to a step predicted, batch by batch."""
    training, text = run.recipe.training, run.text.train
    seen = [False] * len(text)
    for number in range(step):
        for block in data_order.batch(seed, number, training.batch, text.blocks(training.context)):
            for position in range(block * training.context + 1, (block + 1) * training.context + 1):
                seen[position] = True
    return seen


def pairs_of(run):
    return disk.read_table(run.folder.pairs(SUITE))


def some_pairs_of(run):
    return pairs_of(run).filter(pl.col("paradigm").rank("dense") % 4 == 0)  # by dictionaries it takes its time


# --- what is made -------------------------------------------------------------------------------------------------


def test_every_table_is_there_and_is_the_runs(examined):
    run = Run(examined)
    assert {file.stem for file in (examined / "evidence").iterdir()} == TABLES
    paradigms, moments = set(pairs_of(run)["paradigm"]), {(seed, step) for seed in (0, 1) for step in tiny.TRAINED}
    for name in ("reliance", "ladder", "distance", "ngram_curves"):
        assert set(table(run, name).select("seed", "step").iter_rows()) == moments
    for name in TABLES - NONE_OBSERVED | {"reliance"}:
        assert table(run, name)["suite"].unique().to_list() == [SUITE]
    for name in ("margins", "reliance", "ladder", "ngram_curves", "cases", "matched"):
        assert set(table(run, name)["paradigm"]) - {""} == paradigms
    for name in ("margins", "ladder", "distance", "ngram_curves"):
        assert set(table(run, name)["order"]) == {1, 2, 3}
    closest = run.fold("distance")["closest"]
    assert closest.select("seed", "order").rows() == [(seed, order) for seed in (0, 1) for order in (1, 2, 3)]
    assert set(run.evidence("margins")["level"]) == {"token", "word"}
    assert run.folder.lineage()["ngrams"]["word"]["order"] == run.folder.lineage()["ngrams"]["token"]["order"] == ORDER


def test_the_second_time_nothing_is_made(own):
    indices, words = stamps(own, "ngrams"), stamps(own, "tokens")
    assert made_anew(own) == set()
    assert (stamps(own, "ngrams"), stamps(own, "tokens")) == (indices, words)


@pytest.mark.parametrize("level", ["token", "word"])
def test_margins_are_sums_of_logarithms(examined, level):
    run = Run(examined)
    counted = run.ngram_evidence.counts.levels(ORDER, [level])[level]
    pairs = some_pairs_of(run)
    for order in (1, 2):
        p = by_definition(counted.text.ids.tolist(), len(counted.tokenizer), order)
        expected = [margin(p, counted.tokenizer, row, order) for row in pairs.iter_rows(named=True)]
        found = (
            run.evidence("margins").filter(level=level, order=order).join(pairs, on=["paradigm", "pair"], maintain_order="right")
        )
        assert found["margin"].to_list() == pytest.approx(expected, abs=1e-9)
        assert [(value > 0) - (value < 0) for value in found["margin"]] == [(value > 0) - (value < 0) for value in expected]


@pytest.mark.parametrize(("seed", "step"), [(0, 24), (1, 2)])
def test_the_ngram_learner_has_counted_what_training_has_predicted(examined, seed, step):
    run = Run(examined)
    ids, tokenizer = run.text.train.ids.tolist(), run.text.tokenizer
    seen, pairs = trained_over(run, seed, step), some_pairs_of(run)
    assert 0 < sum(seen) <= step * 64 < len(ids)
    for order in range(1, ORDER + 1):
        p = by_definition(ids, len(tokenizer), order, seen)
        margins = [margin(p, tokenizer, row, order) for row in pairs.iter_rows(named=True)]
        right = [1.0 if value > 0 else 0.5 if value == 0 else 0.0 for value in margins]
        expected = pairs.with_columns(margin=pl.Series(margins), right=pl.Series(right)).group_by("paradigm")
        expected = expected.agg(pl.col("right").mean(), pl.col("margin").mean()).sort("paradigm")
        found = run.evidence("ngram_curves").filter(seed=seed, step=step, order=order, level="token").sort("paradigm")
        found = found.filter(pl.col("paradigm").is_in(pairs["paradigm"].implode()))
        assert found["accuracy"].to_list() == pytest.approx(expected["right"].to_list())
        assert found["margin"].to_list() == pytest.approx(expected["margin"].to_list(), abs=1e-9)


def test_before_training_an_ngram_learner_knows_lengths_alone(examined):
    run = Run(examined)
    tokens = {text: len(run.text.tokenizer.tokenize(text)) for column in ("good", "bad") for text in pairs_of(run)[column]}
    length = [float(np.sign(tokens[bad] - tokens[good]) + 1) / 2 for good, bad in pairs_of(run).select("good", "bad").iter_rows()]
    expected = pairs_of(run).with_columns(right=pl.Series(length)).group_by("paradigm").agg(pl.col("right").mean())
    expected = dict(expected.iter_rows())
    found = run.evidence("ngram_curves").filter(step=0)
    assert 0.5 in expected.values()
    assert all(row["accuracy"] == expected[row["paradigm"]] for row in found.iter_rows(named=True))


# --- what stands on what ------------------------------------------------------------------------------------------


def test_a_table_that_cannot_be_made_keeps_no_other_from_being_made(own, monkeypatch):
    def fails(*tables):
        raise ZeroDivisionError("no pairs")

    monkeypatch.setattr(ngram_evidence, "matched", fails)
    disk.write_table(own / "evidence" / "matched.parquet", table(Run(own), "matched"), {"key": "of before"})
    (own / "evidence" / "tables.parquet").unlink()
    heard = tiny.Heard()
    Run(own, heard).examine(ORDER)
    assert "! the table matched is left out: ZeroDivisionError: no pairs" in heard.warnings
    assert not (own / "evidence" / "matched.parquet").exists() and (own / "evidence" / "tables.parquet").exists()


def test_a_table_that_is_made_in_another_way_now_is_made_again(own, monkeypatch):
    monkeypatch.setitem(ngram_evidence.VERSIONS, "rungs", 99)
    assert made_anew(own) == {"rungs"}


def test_other_weights_change_what_stands_on_scores_alone(own):
    folder = RunFolder(own).checkpoint(0, 24)
    weights = load_file(folder / store.WEIGHTS)
    save_file({name: 2 * tensor for name, tensor in weights.items()}, folder / store.WEIGHTS, {"format": "pt"})
    store.seal(folder)
    Run(own).score(again=[24])
    before = table(Run(own), "reliance")
    assert made_anew(own) == OF_SCORES
    after = table(Run(own), "reliance")
    changed = after.filter(~pl.struct(pl.all()).is_in(before.select(pl.struct(pl.all())).to_series().implode()))
    assert set(changed.select("seed", "step").iter_rows()) == {(0, 24)}
    assert made_anew(own) == set()


def test_curves_judged_anew_change_what_stands_on_curves(own):
    run = Run(own)
    disk.write_table(run.folder.curves, run.curves().with_columns(accuracy=1 - pl.col("accuracy")))
    before = run.evidence("cases")["early_accuracy"]
    assert made_anew(own) == OF_CURVES
    assert Run(own).evidence("cases")["early_accuracy"].to_list() == pytest.approx((1 - before).to_list())


def test_other_thresholds_change_what_stands_on_verdicts(own):
    recipe = (own / "recipe.yaml").read_text()
    assert "early: 0.1" in recipe
    (own / "recipe.yaml").write_text(recipe.replace("early: 0.1", "early: 0.4"))
    assert made_anew(own) == OF_CURVES


def test_a_higher_order_makes_every_table_and_a_lower_one_counts_nothing(own):
    indices = stamps(own, "ngrams")
    assert made_anew(own, 2) == TABLES | {"distance"}  # reliance is on bigrams, whatever else is counted
    for name in ("margins", "distance"):
        assert set(table(Run(own), name)["order"]) == {1, 2}
    assert stamps(own, "ngrams") == indices


def test_counts_of_another_text_are_made_anew(own):
    file = own / "ngrams" / "token" / "index" / "index.json"
    facts = disk.read_json(file)
    disk.write_json(file, facts | {"key": "of another text"})
    assert not Run(own).ngram_evidence.counts.before("token", ORDER)
    Run(own).count(ORDER)
    assert disk.read_json(file) == facts


def test_counts_that_do_not_fit_the_text_are_named(own):
    file = own / "ngrams" / "word" / "index" / "index.json"
    disk.write_json(file, disk.read_json(file) | {"tokens": 7})
    with pytest.raises(OntogenyError, match=r"the counts in .*word.index are of another text, or of other tokens"):
        Run(own).count(ORDER)


def test_a_tokenizer_of_another_size_is_named(own):
    key = disk.read_json(own / "tokenizer" / "key.json")
    tiny.words("only these few words").save_pretrained(own / "tokenizer")
    disk.write_json(own / "tokenizer" / "key.json", key)
    with pytest.raises(
        OntogenyError, match=r"the tokenizer in .*tokenizer has 8 tokens, .*one of \d+: they do not belong together"
    ):
        Run(own).count(ORDER)


# --- what can be lacking ------------------------------------------------------------------------------------------


def test_without_scores_there_are_no_pairs_to_look_at(own_run):
    for scores in own_run.glob("seed-*/scores"):
        shutil.rmtree(scores)
    with pytest.raises(OntogenyError, match=r"has no scores on .* yet; run: ontogeny score "):
        Run(own_run).examine(ORDER)


def test_without_curves_there_is_nothing_to_hold_it_against(own_run):
    (own_run / "curves.parquet").unlink()
    with pytest.raises(OntogenyError, match=r"has no curves yet; run: ontogeny verdicts .*tiny"):
        Run(own_run).examine(ORDER)
    assert not (own_run / "evidence").exists()


def with_a_second_suite(folder, tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("paradigm,good,bad\nmine,the dog sees the cat,the dog see the cat\nmine,dogs see the cat,dogs sees the cat\n")
    suites = json.dumps([{"kind": SUITE, "pairs_per_paradigm": 10}, {"kind": "table", "path": str(table)}])
    return Run.begin(tiny.recipe(f"suites={suites}"), folder.parent)


def test_a_suite_that_joined_later_waits_for_its_verdicts_and_is_explained_before(own, tmp_path):
    run = with_a_second_suite(own, tmp_path)
    with pytest.raises(OntogenyError, match=r"has no curves on own yet; run: ontogeny score .*, then ontogeny verdicts"):
        run.examine(ORDER)
    found = run.why("mine")
    assert (found.suite, found.pairs, found.verdict, found.network_accuracy) == ("own", 2, None, None)
    run.score()
    run.judge()
    run.examine(ORDER)
    assert set(run.evidence("cases")["suite"]) == set(table(run, "reliance")["suite"]) == {SUITE, "own"}
    assert run.why("mine").verdict is not None


def test_a_run_that_never_learned_anything_is_examined_all_the_same(own_run):
    run = Run(own_run)
    run.examine(2)
    assert run.evidence("matched").is_empty()
    assert run.evidence("foretold")["undecided"].all()


def test_pairs_too_long_for_the_model_are_left_out_and_said(own):
    run = RunFolder(own)
    for seed in (0, 1):
        for step in tiny.TRAINED:  # as if the model's context had cut them
            path = run.scores(seed, SUITE, step)
            frame, facts = disk.read_table(path), disk.table_metadata(path)
            disk.write_table(path, frame.filter((pl.col("paradigm") != "transitive") | (pl.col("pair") > "4")), facts)
    left = 10 - len(disk.read_table(run.scores(0, SUITE, 0)).filter(paradigm="transitive"))
    heard = tiny.Heard()
    here = Run(own, heard)
    here.judge()
    here.examine(ORDER)
    assert f"{SUITE}: {left} pairs are longer than the model's context, have no scores and are left out" in heard.said
    assert len(here.evidence("margins").filter(paradigm="transitive", level="word", order=2)) == 10 - left
    assert here.why("transitive").pairs == 10


def test_scores_on_other_pairs_are_not_held_against_the_new_ones(own):
    run = Run.begin(tiny.recipe("suites.0.pairs_per_paradigm=4", "scoring.pairs_per_paradigm=4"), own.parent)
    with pytest.raises(OntogenyError, match="was scored on other pairs than the recipe has now; run: ontogeny score"):
        run.examine(ORDER)


def test_a_seed_that_lags_behind_waits(own):
    RunFolder(own).scores(1, SUITE, 24).unlink()
    heard = tiny.Heard()
    here = Run(own, heard)
    here.judge()
    here.examine(ORDER)
    assert any(
        "seed 1 has been read at other checkpoints; what ends wrong is told without it" in warning for warning in heard.warnings
    )
    assert here.evidence("cases")["seed"].unique().to_list() == [0]
    assert set(here.evidence("ladder").filter(seed=1)["step"]) == set(tiny.TRAINED) - {24}


def test_tables_are_had_by_name(examined, finished_run):
    with pytest.raises(OntogenyError, match="has no table of evidence called 'ladders'; did you mean 'ladder'"):
        Run(examined).evidence("ladders")
    with pytest.raises(OntogenyError, match=r"known: cases, contests, .*tables"):
        Run(examined).evidence("x")
    with pytest.raises(OntogenyError, match=r"reliances has not read .* --with reliances \(did you mean 'reliance'\?\)"):
        Run(examined).reading("reliances")
    with pytest.raises(OntogenyError, match="no table of evidence called 'margins'; run: ontogeny evidence"):
        Run(finished_run).evidence("margins")


def test_a_run_around_checkpoints_of_somebody_else_has_no_text(finished_run, tmp_path):
    checkpoints = finished_run / "seed-0" / "checkpoints"
    run = adoption.adopt(checkpoints, SUITE, None, "theirs", [], tmp_path / "runs", Display(quiet=True))
    for ask in (run.count, run.examine, lambda: run.why("adjunct_island"), lambda: run.export(tmp_path / "model.arpa")):
        with pytest.raises(OntogenyError, match=r"around somebody else's checkpoints: the text they were trained on is not known"):
            ask()


# --- asking why ---------------------------------------------------------------------------------------------------


def test_a_paradigm_is_explained_with_what_the_run_knows(examined):
    run = Run(examined)
    for level, order in (("word", 2), ("token", 3)):
        found = run.why("determiner_noun_agreement_1", level=level, order=order, most=10**6, lines=2)
        margins = run.evidence("margins").filter(paradigm="determiner_noun_agreement_1", level=level, order=order)["margin"]
        assert found.mean_margin == pytest.approx(margins.mean())
        assert found.deciding["contribution"].sum() == pytest.approx(margins.mean(), abs=1e-9)
        assert (found.suite, found.pairs, found.level, found.order) == (SUITE, 10, level, order)
        assert found.verdict == run.verdicts().filter(paradigm="determiner_noun_agreement_1")["verdict"][0]


def test_late_and_early_accuracy_are_weighted_means_over_seeds(examined):
    """Late is the last 20 % of 24 steps: 20 and 24, which stand for 19.2 to 22 and 22 to 24; early the first 10 %: 0, 1 and 2."""
    run = Run(examined)
    found = run.why("transitive")
    mean = dict(run.curves().filter(paradigm="transitive").group_by("step").agg(pl.col("accuracy").mean()).iter_rows())
    assert found.network_accuracy == pytest.approx((2.8 * mean[20] + 2 * mean[24]) / 4.8)
    assert found.network_early == pytest.approx((0.5 * mean[0] + mean[1] + 0.9 * mean[2]) / 2.4)


def test_one_pair_is_explained_by_its_id(examined):
    run = Run(examined)
    row = pairs_of(run).filter(paradigm="transitive").row(3, named=True)
    found = run.why("transitive", pair=row["pair"])
    assert (found.pairs, found.example.pair, found.example.good) == (1, row["pair"], row["good"])
    margins = run.evidence("margins").filter(paradigm="transitive", pair=row["pair"], level="word", order=2)["margin"]
    assert found.mean_margin == margins[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"paradigm": "transitiv"}, "no paradigm is called 'transitiv' here; did you mean 'transitive'"),
        ({"paradigm": "transitive", "pair": "x"}, "transitive has no pair 'x'; known: 0, 1, "),
        ({"paradigm": "transitive", "level": "words"}, "over tokens or words, not 'words'; did you mean 'word'"),
        ({"paradigm": "transitive", "suite": "micro-enlish"}, "no suite 'micro-enlish'; did you mean 'micro-english'"),
    ],
)
def test_what_is_not_there_is_named(examined, asked, said):
    with pytest.raises(OntogenyError, match=said):
        Run(examined).why(**asked)


def test_asking_why_writes_nothing_that_was_counted_before(own):
    from filelock import FileLock

    before = stamps(own, "ngrams")
    with FileLock(own / ".lock"):  # a training in progress
        assert Run(own).why("transitive").pairs == 10
        with pytest.raises(OntogenyError, match="another process is writing to"):
            Run(own).why("transitive", order=ORDER + 1)
    assert stamps(own, "ngrams") == before


def test_an_order_above_what_was_counted_is_counted(own):
    assert Run(own).why("transitive", order=ORDER + 1).order == ORDER + 1
    assert disk.read_json(own / "ngrams" / "word" / "index" / "index.json")["order"] == ORDER + 1
