"""N-gram distance: by hand over three tokens, against a double loop with a tiny OPT, and the cuts of histories."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.instruments import distance as room
from ontogeny.instruments.distance import Contexts, Distance, Distributions, divergences, held_out, histories, network_logps
from ontogeny.instruments.instrument import checked
from ontogeny.pages.panel import Clock
from ontogeny.records import OntogenyError
from ontogeny.tokens import token_store

CPU = torch.device("cpu")
BOS = 2


class Fixed:
    """A unigram model, or a network, that always says the same."""

    def __init__(self, *p):
        self.p = np.array(p)

    def distribution(self, histories):
        return np.tile(self.p, (len(histories), 1))

    def __call__(self, input_ids, use_cache):
        return SimpleNamespace(logits=torch.tensor(self.p, dtype=torch.float32).log().expand(*input_ids.shape, -1))


class Mixed:
    """A distribution that depends on every token of the history and on how many there are."""

    def __init__(self, vocabulary):
        self.vocabulary = vocabulary
        self.asked = 0

    def distribution(self, histories):
        self.asked += len(histories)
        weights = np.stack([self._weights(history) for history in histories.tolist()])
        return weights / weights.sum(axis=1, keepdims=True)

    def _weights(self, history):
        return np.random.default_rng([7, *[token + 1 for token in history]]).uniform(0.05, 1, self.vocabulary)


def contexts(inputs, rows=None):
    inputs = np.array(inputs, dtype=np.int64)
    rows = np.arange(inputs.size) if rows is None else np.array(rows)
    return Contexts(inputs, rows, histories(inputs, BOS)[rows])


def written(tmp_path, *texts, bos=True):
    return token_store.write(tmp_path, "dev", tiny.documents(*texts), tiny.words("a b c d e f g"), bos=bos, key="k")


# --- histories ----------------------------------------------------------------------------------------------------


def test_histories_are_cut_at_bos_and_at_the_start_of_the_block():
    got = histories(np.array([[BOS, 5, 6, BOS, 7, 8, 9, 5, 6]]), BOS)
    assert got.tolist() == [
        [-1, -1, -1, 2],
        [-1, -1, 2, 5],
        [-1, 2, 5, 6],
        [-1, -1, -1, 2],
        [-1, -1, 2, 7],
        [-1, 2, 7, 8],
        [2, 7, 8, 9],
        [7, 8, 9, 5],
        [8, 9, 5, 6],
    ]
    assert histories(np.array([[5, 6], [7, BOS]]), BOS).tolist() == [
        [-1, -1, -1, 5],
        [-1, -1, 5, 6],
        [-1, -1, -1, 7],
        [-1, -1, -1, 2],
    ]


def test_a_stream_without_bos_has_no_cuts_but_its_blocks():
    assert histories(np.array([[5, BOS, 6]]), None).tolist() == [[-1, -1, -1, 5], [-1, -1, 5, 2], [-1, 5, 2, 6]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=7, max_size=7), min_size=1, max_size=4))
def test_histories_by_a_loop(blocks):
    got = iter(histories(np.array(blocks), BOS).tolist())
    for block in blocks:
        for end in range(1, len(block) + 1):
            seen = block[:end]
            if BOS in seen:
                seen = seen[len(seen) - 1 - seen[::-1].index(BOS) :]
            assert next(got) == ([-1] * 4 + seen)[-4:]


# --- held-out contexts --------------------------------------------------------------------------------------------


def test_held_out_contexts_are_blocks_of_the_stream(tmp_path):
    store = written(tmp_path, "a b c d e f g", "b a", "c c c c c", "d e f")
    got = held_out(store, context=4, blocks=100, seed=0)
    assert got.inputs.flatten().tolist() == store.ids[: store.blocks(4) * 4].tolist()
    assert got.rows.tolist() == list(range(got.inputs.size)) and len(got) == got.inputs.size
    assert got.histories.tolist() == histories(got.inputs, BOS).tolist()


def test_held_out_contexts_are_drawn_by_seed(tmp_path):
    store = written(tmp_path, *["a b c d e f g"] * 40)
    drawn = [held_out(store, context=8, blocks=10, seed=seed, contexts=30) for seed in (0, 0, 1)]
    assert [d.inputs.shape for d in drawn] == [(10, 8)] * 3 and [len(d) for d in drawn] == [30] * 3
    first, again, other = [(d.inputs.tolist(), d.rows.tolist(), d.histories.tolist()) for d in drawn]
    assert first == again != other
    assert sorted(set(first[1])) == first[1]
    assert first[2] == histories(drawn[0].inputs, BOS)[drawn[0].rows].tolist()
    blocks = [store.ids[i * 8 : i * 8 + 8].tolist() for i in range(store.blocks(8))]
    assert all(block in blocks for block in first[0])


def test_a_stream_without_bos_is_cut_nowhere(tmp_path):
    got = held_out(written(tmp_path, "a b", "c d", "e f", bos=False), context=5, blocks=1, seed=0)
    assert (got.histories[-1] >= 0).all()


def test_a_stream_too_short_for_a_block_is_refused(tmp_path):
    with pytest.raises(OntogenyError, match=r"dev.bin holds 0 blocks of 8 tokens, and 3 were asked for: one of each"):
        held_out(written(tmp_path, "a b"), context=8, blocks=3, seed=0)
    with pytest.raises(OntogenyError, match="and 1 were asked for with 0 contexts"):
        held_out(written(tmp_path, "a b c d e"), context=2, blocks=1, seed=0, contexts=0)


# --- divergences --------------------------------------------------------------------------------------------------


def test_by_hand_over_three_tokens():
    distributions = Distributions({1: Fixed(0.5, 0.25, 0.25)}, contexts([[0, 1], [1, 2]]))
    ((order, kl, kl_reverse),) = divergences(Fixed(0.25, 0.25, 0.5), distributions, CPU)
    assert order == 1
    assert kl == pytest.approx(0.25 * np.log(2)) and kl_reverse == pytest.approx(0.25 * np.log(2))
    ((_, kl, kl_reverse),) = divergences(Fixed(0.1, 0.1, 0.8), distributions, CPU)
    assert kl == pytest.approx(0.5 * np.log(5) + 0.25 * np.log(2.5) + 0.25 * np.log(0.3125), abs=1e-6)
    assert kl_reverse == pytest.approx(0.1 * np.log(0.2) + 0.1 * np.log(0.4) + 0.8 * np.log(3.2), abs=1e-6)
    assert abs(kl - kl_reverse) > 0.05


def test_a_network_that_is_the_n_gram_model_is_at_no_distance():
    p = np.random.default_rng(0).dirichlet(np.ones(50))
    ((_, kl, kl_reverse),) = divergences(Fixed(*p), Distributions({1: Fixed(*p)}, contexts([[0, 1, 2]])), CPU)
    assert (kl, kl_reverse) == pytest.approx((0, 0), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-3, 1), min_size=4, max_size=4), st.lists(st.floats(1e-3, 1), min_size=4, max_size=4))
def test_no_distance_is_below_zero(p, q):
    p, q = (np.array(weights) / sum(weights) for weights in (p, q))
    ((_, kl, kl_reverse),) = divergences(Fixed(*q), Distributions({1: Fixed(*p)}, contexts([[0, 1, 3]])), CPU)
    assert kl > -1e-6 and kl_reverse > -1e-6
    assert kl == pytest.approx(float((p * np.log(p / q)).sum()), abs=1e-5)


INPUTS = [[BOS, 5, 6, BOS, 7, 8], [9, 5, 6, 4, 4, BOS], [BOS, BOS, 5, 3, 3, 3]]


def by_loops(model, models, there):
    """Means over contexts, one context, one order and one token at a time."""
    sums = {order: [0.0, 0.0] for order in models}
    for row, history in zip(there.rows, there.histories, strict=True):
        block, place = divmod(int(row), there.inputs.shape[1])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(there.inputs[block : block + 1, : place + 1])).logits[0, -1].double()
        for order, ngram in models.items():
            known = history[4 - (order - 1) :][None]
            p = ngram.distribution(known)[0]
            q = torch.softmax(logits[: len(p)], dim=-1).numpy()
            for a, b in zip(p, q, strict=True):
                sums[order][0] += a * np.log(a / b) / len(there)
                sums[order][1] += b * np.log(b / a) / len(there)
    return sums


@pytest.mark.parametrize("rows", [None, [0, 3, 7, 16, 17], [13]])
@pytest.mark.parametrize(("chunk", "kept"), [(room.CHUNK, room.KEPT), (1, 0), (2 * 6 * 12, room.KEPT)])
def test_a_tiny_opt_against_a_double_loop(monkeypatch, rows, chunk, kept):
    monkeypatch.setattr(room, "CHUNK", chunk)
    model, there, models = tiny.opt(12), contexts(INPUTS, rows), {order: Mixed(12) for order in (3, 1, 2, 5)}
    got = divergences(model, Distributions(models, there, kept), CPU)
    expected = by_loops(model, models, there)
    assert [order for order, _, _ in got] == [1, 2, 3, 5]
    for order, kl, kl_reverse in got:
        assert (kl, kl_reverse) == pytest.approx(expected[order], abs=1e-5)
        assert abs(kl - kl_reverse) > 1e-3


def test_rows_that_only_pad_are_left_out_and_the_rest_is_renormalised():
    model, there, models = tiny.opt(16), contexts(INPUTS), {2: Mixed(12)}
    (_, kl, kl_reverse), *_ = divergences(model, Distributions(models, there), CPU)
    assert (kl, kl_reverse) == pytest.approx(by_loops(model, models, there)[2], abs=1e-5)
    assert np.exp(network_logps(model, there, CPU, 12)).sum(axis=1) == pytest.approx(np.ones(len(there)), abs=1e-5)


def test_the_networks_log_probabilities_are_its_own_at_the_chosen_places():
    model, there = tiny.opt(12), contexts(INPUTS, [1, 8, 17])
    with torch.no_grad():
        whole = torch.log_softmax(model(input_ids=torch.tensor(INPUTS)).logits, -1).flatten(0, 1)
    got = network_logps(model, there, CPU)
    assert got.shape == (3, 12) and got.dtype == np.float32
    assert got == pytest.approx(whole[[1, 8, 17]].numpy(), abs=1e-5)


def test_n_grams_are_asked_once_where_there_is_room_and_once_a_checkpoint_where_there_is_not():
    for kept, asked in ((room.KEPT, 18), (0, 3 * 18)):
        ngram = Mixed(12)
        distributions = Distributions({2: ngram}, contexts(INPUTS), kept)
        if kept == 0:
            ngram.asked = 0
        context = SimpleNamespace(once=lambda key, make, kept=distributions: kept)
        subjects = [SimpleNamespace(model=tiny.opt(12, seed=step), device=CPU, context=context) for step in (0, 1, 2)]
        got = [checked(Distance(), Distance().read(subject)) for subject in subjects]
        assert ngram.asked == asked + (kept > 0)  # one more to learn the vocabulary
    assert got[0].columns == ["order", "kl", "kl_reverse", "contexts"]
    assert [one.select("order", "contexts").rows() for one in got] == [[(2, 18)]] * 3
    assert len({one["kl"][0] for one in got}) == 3


def test_what_does_not_belong_together_is_refused():
    there = contexts(INPUTS)
    refused = [
        ({6: Mixed(12)}, "of order 6 has no distribution here: orders go from 1 to 5"),
        ({1: Mixed(12), 2: Mixed(13)}, "of one vocabulary are needed: 12 at order 1, 13 at order 2"),
        ({}, "of one vocabulary are needed: there are none"),
        ({1: Mixed(9)}, "the contexts have token 9, but the n-gram models know 9"),
        ({1: Fixed(*[0.5, 0.5, 0.0, *[0.0] * 9])}, "1-gram model's probabilities after some context are not all above 0"),
        ({1: Fixed(*[0.1] * 12)}, "or do not sum to 1"),
    ]
    for models, message in refused:
        with pytest.raises(OntogenyError, match=message):
            Distributions(models, there)
    small = Distributions({1: Mixed(14)}, there)
    for model in (tiny.opt(12), Fixed(*[1 / 12] * 12)):
        with pytest.raises(OntogenyError, match="the model's vocabulary has 12 rows, the n-gram models' 14"):
            divergences(model, small, CPU)
    with pytest.raises(OntogenyError, match="not a finite number"):
        divergences(Fixed(*[np.nan] * 14), small, CPU)


def test_the_step_of_closest_imitation_both_ways():
    rows = [
        (0, 0, 2, 3.0, 2.0),
        (0, 10, 2, 1.0, 1.5),
        (0, 20, 2, 1.0, 1.0),
        (0, 30, 2, 2.0, 1.2),
        (1, 0, 2, 3.0, 4.0),
        (0, 0, 1, 1.0, 1.0),
    ]
    frame = pl.DataFrame(rows, schema=["seed", "step", "order", "kl", "kl_reverse"], orient="row").reverse()
    got = Distance().fold(frame.with_columns(contexts=pl.lit(7)), Clock())["closest"]
    assert got.columns == ["seed", "order", "step", "kl", "step_reverse", "kl_reverse"]
    assert got.rows() == [(0, 1, 0, 1.0, 0, 1.0), (0, 2, 10, 1.0, 20, 1.0), (1, 2, 0, 3.0, 0, 4.0)]
