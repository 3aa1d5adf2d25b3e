"""Which blocks a step sees: a pure function of (seed, step), in constant memory however large the corpus is.

Each epoch is a permutation of the blocks, computed point by point by a Feistel network over the smallest even power of two that
holds them, walking in cycles until the image is a block (Black & Rogaway 2002, "Ciphers with arbitrary finite domains").
Neither the number of steps, nor how a batch is split, nor the number of workers has any part in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROUNDS = 8  # four make a pseudo-random permutation (Luby & Rackoff 1988); the halves of a small corpus are small, so twice that


def batch(seed: int, step: int, size: int, blocks: int, shuffled: bool = True) -> NDArray[np.int64]:
    """Indices [size] of the blocks that optimiser step `step` (from 0) sees, of a stream of `blocks` blocks.

    Not `shuffled`: as the stream has them, whatever the seed.
    """
    positions = np.arange(step * size, (step + 1) * size, dtype=np.int64)
    if not shuffled:
        return positions % blocks
    epochs, places = positions // blocks, positions % blocks
    order = np.empty(size, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        order[here] = permute(places[here], blocks, seed, int(epoch))
    return order


def first_seen(seed: int, size: int, blocks: int, shuffled: bool = True) -> NDArray[np.int64]:
    """Optimiser steps done when each block [blocks] has been seen for the first time, with batches of `size` blocks."""
    steps = np.empty(blocks, dtype=np.int64)
    places = np.arange(blocks, dtype=np.int64)
    steps[permute(places, blocks, seed, 0) if shuffled else places] = places // size + 1
    return steps


def permute(places: NDArray[np.int64], blocks: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Images of `places` under the permutation of 0 .. blocks-1 that belongs to (seed, epoch)."""
    half = max(1, ((blocks - 1).bit_length() + 1) // 2)
    keys = np.random.SeedSequence([seed, epoch]).generate_state(ROUNDS, np.uint64).astype(np.uint64)
    image = _feistel(places.astype(np.uint64), half, keys)
    while (outside := image >= blocks).any():
        image[outside] = _feistel(image[outside], half, keys)
    return image.astype(np.int64)


def _feistel(values: NDArray[np.uint64], half: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mask = np.uint64((1 << half) - 1)
    left, right = values >> np.uint64(half), values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right + key) & mask)
    return (left << np.uint64(half)) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014): every input bit reaches every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
