"""Reading until settled: edges against enumeration, the error over all looks, and a run that is read so and then completed."""

import shutil
from itertools import combinations

import numpy as np
import polars as pl
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import disk, recipe
from ontogeny.judging import curves_of
from ontogeny.laboratory import Run
from ontogeny.recipe import Thresholds
from ontogeny.records import OntogenyError, Pair
from ontogeny.report.sections import _settled
from ontogeny.scoring import settled
from ontogeny.store import RunFolder


def state(mean, hi):
    return 1 if mean >= hi - 1e-9 else -1 if mean <= 1 - hi + 1e-9 else 0


def declared(outcomes, hi, level):
    """What reading `outcomes` (0, .5, 1) in their order until settled says, after how many."""
    bounds = settled.edges(len(outcomes), hi, level)
    for look, read in enumerate(bounds.looks):
        first = outcomes[:read]
        if (found := bounds.state(look, int((first == 1).sum()), int((first > 0).sum()))) is not None:
            return found, read
    return state(outcomes.mean(), hi), len(outcomes)


def followed(outcomes, hi, level):
    """As `declared`, but as runs read: looks that are unlikely to settle it are left out."""
    n, bounds = len(outcomes), settled.edges(len(outcomes), hi, level)
    read, more, taken = 0, -1, 0
    while True:
        first = outcomes[:read]
        more = settled.following(n, bounds, read, int((first == 1).sum()), int((first > 0).sum()))
        if more == read:
            return state(outcomes[:read].mean(), hi), read, taken
        assert more > read
        assert more == n or more in bounds.looks
        read, taken = more, taken + 1


def test_looks_are_shares_of_the_pairs_and_never_all():
    assert settled.looks(1000) == tuple(range(25, 1000, 25))
    assert settled.looks(3) == (1, 2)
    assert settled.looks(1) == ()


def test_edges_by_hand():
    """Four pairs, looks after one, two and three; +1 is three right of four, and the level .51.

    If three are right the wrong one is among the first two in half of the orders: +1 is ruled out by any wrong one of two.  +1 is
    settled where it is ruled out that two are wrong, at a level of .255: the first two are both right in 1/6 of their orders, the
    first one is in half of them.
    """
    found = settled.edges(4, 0.75, 0.51)
    assert found.looks == (1, 2, 3)
    assert found.not_right.tolist() == [0, 1, 1]
    assert found.right.tolist() == [2, 2, 3]  # never after one
    assert found.state(0, 1, 1) is None
    assert found.state(1, 2, 2) == 1
    assert found.state(1, 1, 2) is None  # one of them a tie
    assert found.state(1, 0, 0) == -1
    assert found.state(1, 1, 1) == 0
    assert (found.not_wrong == np.array(found.looks) - found.not_right).all()  # the band is symmetric, and so are its edges
    assert (found.wrong == np.array(found.looks) - found.right).all()


@pytest.mark.parametrize("right", range(13))
def test_no_order_of_twelve_pairs_misleads_more_often_than_the_level(right):
    """Every order counts as much: the share of all C(12, right) orders that settle a false state, by enumeration."""
    level, hi, wrong, early = 0.3, 0.7, 0, 0
    orders = list(combinations(range(12), right))
    for places in orders:
        outcomes = np.zeros(12)
        outcomes[list(places)] = 1
        found, read = declared(outcomes, hi, level)
        wrong += found != state(right / 12, hi)
        early += read < 12
        assert followed(outcomes, hi, level)[1] >= read
    assert wrong <= level * len(orders)
    if right in (0, 12):
        assert early == len(orders)  # what is clear is settled early


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 120), st.floats(0.501, 1.2), st.floats(1e-9, 0.5), st.data())
def test_what_is_settled_is_the_state_of_what_was_read(n, hi, level, data):
    outcomes = np.array(data.draw(st.lists(st.sampled_from([0, 0.5, 1]), min_size=n, max_size=n)), dtype=float)
    found, read = declared(outcomes, hi, level)
    assert found == state(outcomes[:read].mean(), hi)
    mirrored, other = declared(1 - outcomes, hi, level)
    assert (mirrored, other) == (-found, read)
    found, read, _ = followed(outcomes, hi, level)
    assert found == state(outcomes[:read].mean(), hi)


def test_reading_goes_on_to_the_look_that_is_likely_to_settle_it():
    generator, outcomes = np.random.default_rng(2), np.zeros(1000)
    outcomes[:650] = 1
    orders = [generator.permutation(outcomes) for _ in range(50)]
    every, few = [declared(o, 0.553, 1e-5)[1] for o in orders], [followed(o, 0.553, 1e-5) for o in orders]
    assert np.mean([read for _, read, _ in few]) < 1.1 * np.mean(every)
    assert np.mean([looks for *_, looks in few]) < 0.5 * np.mean(every) / 25


def test_what_was_read_beside_the_looks_goes_on_to_one():
    bounds = settled.edges(1000, 0.553, 1e-5)
    assert settled.following(1000, bounds, 0, 0, 0) == 50
    assert settled.following(1000, bounds, 60, 30, 30) == 100  # no more than twice as many
    assert settled.following(1000, bounds, 990, 550, 550) == 1000
    assert settled.following(1000, bounds, 1000, 550, 550) == 1000


def test_ties_alone_settle_nothing_before_the_end():
    assert declared(np.full(100, 0.5), 0.55, 0.05) == (0, 100)


@pytest.mark.parametrize("share", [0.553, 0.5, 0.62])
def test_the_error_over_a_thousand_pairs_stays_below_the_level(share):
    generator, outcomes = np.random.default_rng(1), np.zeros(1000)
    outcomes[: round(1000 * share)] = 1
    found = [declared(generator.permutation(outcomes), 0.553, 0.1) for _ in range(300)]
    assert sum(named != state(share, 0.553) for named, _ in found) <= 300 * 0.1
    assert np.mean([read for _, read in found]) < {0.553: 1000, 0.5: 850, 0.62: 600}[share]


PAIRS = [Pair(f"p{n % 3}", str(n), f"a {n}", f"b {n}") for n in range(60)]


def test_the_order_is_the_pairs_own_whatever_the_files():
    def named(pairs):
        return {paradigm: [pairs[place] for place in places] for paradigm, places in settled.order(pairs).items()}

    assert named(PAIRS) == named(PAIRS[::-1])
    assert [p.pair for p in named(PAIRS)["p0"]] != sorted((p.pair for p in PAIRS if p.paradigm == "p0"), key=int)


def test_rounds_go_on_where_a_paradigm_is_not_settled():
    reading, thresholds = settled.order(PAIRS), Thresholds(hi=0.75)
    first = settled.next_round(reading, {}, thresholds, 0.5)
    assert first == [places[0] for places in reading.values()]
    found = {"p0": (8, 8, 8), "p1": (8, 5, 5), "p2": (20, 10, 10)}
    bounds = settled.edges(20, 0.75, 0.5)
    assert settled.next_round(reading, found, thresholds, 0.5) == reading["p1"][8 : settled.following(20, bounds, 8, 5, 5)]


# --- a run


SETTLED = (
    "scoring.until=settled",
    "scoring.confidence=0.5",
    "verdicts.hi=0.95",  # most paradigms are soon seen to be in so wide a band
    "seeds=[0]",
    "suites.0.pairs_per_paradigm=40",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One training, read until settled as it went on, and a copy of it, read whole from the beginning."""
    root = tmp_path_factory.mktemp("settled")
    one = Run.begin(tiny.recipe(*SETTLED), root / "settled")
    one.train()
    folder = RunFolder(shutil.copytree(one.folder.path, root / "all" / one.folder.name))
    shutil.rmtree(folder.seed(0) / "scores")
    other = again(folder, ("until: settled", "until: all"))
    other.score()
    one.judge()
    disk.write_table(folder.curves, curves_of(folder, "micro-english", other.recipe))
    return one.folder, other.folder


def table(folder, step):
    return disk.read_table(folder.scores(0, "micro-english", step))


def joined(part, whole):
    return part.join(whole, on=["paradigm", "pair"], how="inner", suffix="_all")


def test_a_run_read_until_settled_has_fewer_pairs_and_the_same_numbers_and_states(runs):
    part, whole = runs
    read = {step: (len(table(part, step)), len(table(whole, step))) for step in tiny.TRAINED}
    assert read[24][0] == read[24][1]  # the last is whole
    assert sum(n < all_ for n, all_ in read.values()) >= 3
    for step in tiny.TRAINED:
        both = joined(table(part, step), table(whole, step))
        assert len(both) == read[step][0]
        assert (both["logp_good"] - both["logp_good_all"]).abs().max() < 1e-4
    ours, theirs = (disk.read_table(folder.curves).sort("paradigm", "step") for folder in runs)
    assert (ours["n"] == theirs["n"]).all()  # the pairs there are
    assert (ours["read"] < theirs["read"]).any()
    assert (theirs["read"] == theirs["n"]).all()
    assert [state(a, 0.95) for a in ours["accuracy"]] == [state(a, 0.95) for a in theirs["accuracy"]]


def test_the_run_says_how_much_was_read_and_that_it_has_no_null(runs):
    assert "needs all pairs" in runs[0].lineage()["nulls"]["micro-english"]["none"]
    ours, theirs = (disk.read_table(folder.curves) for folder in runs)
    (said,) = _settled(ours)
    assert f"{ours['read'].sum():,} of {ours['n'].sum():,}" in said
    assert _settled(theirs) == _settled(theirs.drop("read")) == []
    about = disk.table_metadata(runs[0].scores(0, "micro-english", 0))
    assert about["whole"] == disk.table_metadata(runs[1].scores(0, "micro-english", 0))["key"]
    cells = 1 * 1 * (len(tiny.TRAINED) - 1) * len(settled.sizes(about))
    assert float(about["level"]) == pytest.approx(0.5 / cells)


@pytest.fixture
def own(runs, tmp_path):
    return RunFolder(shutil.copytree(runs[0].path, tmp_path / "tiny"))


def again(folder: RunFolder, *changes: tuple[str, str]) -> Run:
    text = folder.recipe.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    folder.recipe.write_text(text, encoding="utf-8")
    return Run(folder.path)


def test_it_is_completed_with_what_is_missing_alone(own, runs, monkeypatch):
    from ontogeny.scoring import pairs

    missing = sum(len(table(runs[1], step)) - len(table(own, step)) for step in tiny.TRAINED)
    asked, real = [], pairs.read_by
    monkeypatch.setattr(pairs, "read_by", lambda way, plan, *rest: asked.append(len(plan.pairs)) or real(way, plan, *rest))
    run = again(own, ("until: settled", "until: all"))
    with pytest.raises(OntogenyError, match="was scored on other pairs, or otherwise"):
        run.judge()
    run.score()
    assert sum(asked) == missing
    for step in tiny.TRAINED:
        ours, theirs = table(own, step), table(runs[1], step)
        assert ours.select("paradigm", "pair").equals(theirs.select("paradigm", "pair"))
        assert (ours["logp_bad"] - theirs["logp_bad"]).abs().max() < 1e-4
        keys = [disk.table_metadata(folder.scores(0, "micro-english", step))["key"] for folder in (own, runs[1])]
        assert keys[0] == keys[1]
    run.judge()
    assert "swaps" in own.lineage()["nulls"]["micro-english"]


def test_how_a_model_is_read_is_found_out_once_a_checkpoint(own, monkeypatch):
    from ontogeny.scoring import pairs

    found, rounds, choose, read = [], [], pairs.choose_way, pairs.read_by
    monkeypatch.setattr(pairs, "choose_way", lambda *given: found.append(1) or choose(*given))
    monkeypatch.setattr(pairs, "read_by", lambda *given: rounds.append(1) or read(*given))
    for step in tiny.TRAINED:
        own.scores(0, "micro-english", step).unlink()
    Run(own.path).score()
    assert len(found) == len(tiny.TRAINED) < len(rounds)


def test_what_is_settled_is_not_read_again_and_another_band_reads_on(own, monkeypatch):
    from ontogeny.scoring import pairs

    before = {step: len(table(own, step)) for step in tiny.TRAINED}
    with monkeypatch.context() as patch:
        patch.setattr(pairs, "read_by", lambda *rest: pytest.fail("scored again"))
        Run(own.path).score()
    again(own, ("hi: 0.95", "hi: 0.6")).score()
    after = {step: len(table(own, step)) for step in tiny.TRAINED}
    assert all(after[step] >= before[step] for step in before)
    assert sum(after.values()) > sum(before.values())


def test_weights_that_changed_are_read_from_the_beginning(own, runs):
    path = own.scores(0, "micro-english", 0)
    about = disk.table_metadata(path)
    disk.write_table(path, table(own, 0).with_columns(logp_good=pl.lit(-1.0)), about | {"weights": "others"})
    again(own, ("until: settled", "until: all")).score()
    assert (table(own, 0)["logp_good"] - table(runs[1], 0)["logp_good"]).abs().max() < 1e-4


def test_what_needs_all_pairs_says_so(runs):
    settled.need_all(runs[1], "micro-english", "the ladder")
    with pytest.raises(OntogenyError, match=r"the ladder needs all pairs of micro-english, and at step 0 .*scoring.until to all"):
        settled.need_all(runs[0], "micro-english", "the ladder")


def test_the_two_fields_are_checked():
    with pytest.raises(OntogenyError, match=r"until"):
        recipe.parse(tiny.RECIPE, settings=["scoring.until=settle"])
    with pytest.raises(OntogenyError, match=r"confidence"):
        recipe.parse(tiny.RECIPE, settings=["scoring.confidence=1"])


def test_the_level_is_of_the_run_or_of_each_state(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.note(training={"steps": 10, "checkpoints": 5})
    of_run = recipe.parse(tiny.RECIPE, settings=["seeds=[0, 1]"])
    of_state = recipe.parse(tiny.RECIPE, settings=["seeds=[0, 1]", "scoring.confident=state"])
    assert settled.level(folder, of_run, 0, 67) == pytest.approx(0.05 / (2 * 4 * 67))  # seeds, checkpoints but the last, paradigms
    assert settled.level(folder, of_state, 0, 67) == pytest.approx(0.05)
    assert settled.key("whole", of_run) != settled.key("whole", of_state)
