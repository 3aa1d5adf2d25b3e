"""Data order is a pure function of (seed, step), and each epoch a permutation."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.training import order

seeds = st.integers(0, 2**31)
settle = settings(max_examples=60, deadline=None)


def whole(blocks, seed=0, epoch=0):
    return order.permute(np.arange(blocks), blocks, seed, epoch)


@settle
@given(st.integers(1, 5000), seeds, st.integers(0, 1000))
def test_an_epoch_is_a_permutation(blocks, seed, epoch):
    assert np.array_equal(np.sort(whole(blocks, seed, epoch)), np.arange(blocks))


def test_small_and_round_numbers_of_blocks_are_permuted_too():
    for blocks in [*range(1, 70), 255, 256, 257, 4095, 4096, 4097]:
        assert np.array_equal(np.sort(whole(blocks)), np.arange(blocks))


@settle
@given(st.integers(1, 200), st.integers(1, 64), seeds)
def test_every_epoch_covers_each_block_once(blocks, size, seed):
    epochs = 3
    steps = -(-epochs * blocks // size)
    seen = np.concatenate([order.batch(seed, step, size, blocks) for step in range(steps)])
    for epoch in range(epochs):
        assert np.array_equal(np.sort(seen[epoch * blocks : (epoch + 1) * blocks]), np.arange(blocks))


@settle
@given(st.integers(1, 200), st.integers(1, 8), st.integers(1, 8), seeds, st.integers(0, 30))
def test_a_batch_does_not_depend_on_how_it_is_split(blocks, parts, size, seed, step):
    together = order.batch(seed, step, parts * size, blocks)
    apart = [order.batch(seed, step * parts + part, size, blocks) for part in range(parts)]
    assert np.array_equal(together, np.concatenate(apart))


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    late = order.batch(5, 10**9, 32, 10**12)  # in constant memory, however long the stream
    assert np.array_equal(late, order.batch(5, 10**9, 32, 10**12))
    assert late.dtype == np.int64
    assert len(set(late.tolist())) == 32
    assert 0 <= late.min() <= late.max() < 10**12


def test_seeds_and_epochs_have_orders_of_their_own():
    orders = {tuple(whole(100, seed, epoch).tolist()) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100
    assert tuple(range(100)) not in orders


def test_every_block_comes_at_every_place_about_equally_often():
    blocks, draws = 37, 1000
    places = np.array([whole(blocks, seed) for seed in range(draws)])
    expected = draws / blocks
    for place in range(blocks):
        counts = np.bincount(places[:, place], minlength=blocks)
        chi2 = float(((counts - expected) ** 2 / expected).sum())
        assert chi2 < 85  # 36 degrees of freedom: one place in 2 million passes this by chance


def test_neighbours_are_parted_as_in_a_random_order():
    orders = np.array([whole(64, seed) for seed in range(2000)])
    follows = float(np.mean(np.diff(orders, axis=1) == 1))  # by chance 63 of 64 * 63 ordered pairs
    assert abs(follows - 1 / 64) < 0.002


def test_in_the_order_of_the_text_every_seed_goes_from_the_first_block_to_the_last_and_round_again():
    for seed in range(3):
        assert [order.batch(seed, step, 4, 10, shuffled=False).tolist() for step in range(3)] == [
            [0, 1, 2, 3],
            [4, 5, 6, 7],
            [8, 9, 0, 1],
        ]


@settle
@given(st.integers(1, 200), st.integers(1, 64), seeds, st.booleans())
def test_a_block_is_first_seen_at_the_step_whose_batch_holds_it_first(blocks, size, seed, shuffled):
    expected = {}
    for step in range(-(-blocks // size)):
        for block in order.batch(seed, step, size, blocks, shuffled).tolist():
            expected.setdefault(block, step + 1)
    assert order.first_seen(seed, size, blocks, shuffled).tolist() == [expected[block] for block in range(blocks)]
