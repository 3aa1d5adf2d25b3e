"""What reading until settled would cost with a memory of earlier checkpoints, beside the rule that runs use: pairs and seconds.

    python -m benchmarks weighted runs/babylm-small --every 4 --at 8 16 24

Replays a run that was read whole.  Pairs are drawn with weights, round by round, and each multiplies four bets, one against each
null "no more than M of the N pairs are right (wrong)"; a state is settled once those against all others are worth 1 / alpha.  That
is valid for any weights and bets that are fixed before the draw (Ville's inequality; Shekhar et al., arXiv 2305.06884, draw so to
audit).  Here they come from what earlier checkpoints foretell of each pair.  At some checkpoints the pairs of both rules are then
scored, round by round, by a model of 6 layers of 256 with any weights.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmarks.settled import Floats, by_edges
from ontogeny.laboratory import Run
from ontogeny.recipe import Thresholds
from ontogeny.scoring.settled import upper_edge

Integers = NDArray[np.int64]
FADES = (0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 1.0)  # correlation of margins over `lag` checkpoints is 1 - fade lag^.45
SHIFTS = np.linspace(-1.5, 1.5, 21)  # of a paradigm's mean margin since it was read, in its standard deviations
GRID = list(product(FADES, SHIFTS))
PRIOR = np.log([1 / (1 + (shift / 0.2) ** 2) for _, shift in GRID])  # Cauchy over shifts
FIRST, LONGER = 20, 0.4  # pairs of the first round; each further one is so much of all that were read


def foretold(mean: float, latent: Floats, lag: Floats) -> Floats:
    """[len(GRID), pairs] the probability that each pair is right, by how fast margins fade and how far the mean has moved."""
    rows = []
    for fade, shift in GRID:
        rho = np.clip(1 - fade * lag**0.45, 0, 0.9999)
        rows.append(ndtr((mean + shift + rho * latent) / np.sqrt(1 - rho**2)))
    return np.asarray(np.clip(rows, 0.001, 0.999))


def bet(p: Floats, weight: Floats, most: int) -> tuple[Floats, float] | None:
    """a of each pair and B: a pair that is drawn multiplies the bet by (a + B y) / weight; None where nothing can be won."""
    if p.sum() <= most or most < 0:
        return None

    def shares(nu: float) -> Floats:
        b = nu + weight
        found: Floats = 2 * weight * p / (b + np.sqrt(np.maximum(b * b - 4 * nu * weight * p, 0)))
        return found

    low, high = 0.0, 1.0
    while shares(high).sum() > most and high < 1e12:
        high *= 8
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if shares(middle).sum() > most else (low, middle)
    return weight * (1 - p) / (1 - shares(high)), high


def won(p: Floats, weight: Floats, drawn: Integers, right: Integers, most: int) -> Floats:
    """The logarithms by which a bet grows with each pair of a round, in the order in which they are drawn."""
    left = most - _before(right)
    if (found := bet(p, weight, most)) is None:
        grown = np.zeros(len(drawn))
    else:
        a, b = found
        chance = (weight.sum() - _before(weight[drawn])) / weight[drawn]
        grown = np.log((a[drawn] + b * right) * chance / (a.sum() - _before(a[drawn]) + b * np.maximum(left, 0)))
    return np.where(left < right, np.inf, grown)


def _before(values: Floats | Integers) -> Floats:
    """The sum of what stands before each."""
    return np.append(0.0, np.cumsum(values)[:-1])


def settle(y: Integers, chances: Floats, band: tuple[int, int], level: float, generator: np.random.Generator) -> Iterator[Integers]:
    """Rounds of a paradigm's pairs until its state is settled.  `band`: right pairs at most below it, at least above it."""
    low, high = band
    nulls = ((1, high - 1), (0, len(y) - high), (1, low), (0, len(y) - low - 1))
    enough = ((0, 2, 2), (3, 1, 2), (1, 2, 1))  # two bets, the first against the further side's edge at level / its number
    log, left, belief, read = np.zeros(4), np.arange(len(y)), PRIOR.copy(), np.zeros(2, dtype=np.int64)
    size = FIRST
    while len(left):
        trust = np.exp(belief - belief.max())
        p = np.clip(trust / trust.sum() @ chances[:, left], 0.001, 0.999)
        likely = (p.sum() + read[1]) / len(y)
        side = p if likely > high / len(y) else 1 - p if likely < low / len(y) else np.full(len(p), 0.5)
        weight = np.sqrt(p * (1 - p) + 0.1 * side) + 0.01
        drawn = np.argsort(generator.exponential(size=len(left)) / weight)[:size]
        own = y[left[drawn]]
        for place, (of, most) in enumerate(nulls):
            log[place] += won(p if of else 1 - p, weight, drawn, own if of else 1 - own, most - int(read[of])).sum()
        yield left[drawn]
        read += np.array([len(own) - own.sum(), own.sum()])
        if any(log[one] >= math.log(n / level) and log[other] >= math.log(1 / level) for one, other, n in enough):
            return
        seen = chances[:, left[drawn]]
        belief += np.log(seen) @ own + np.log1p(-seen) @ (1 - own)
        left, size = np.delete(left, drawn), max(8, int(LONGER * read.sum()))


def drawn_anew(margins: Floats, level: float, band: tuple[int, int], generator: np.random.Generator) -> list[list[Integers]]:
    """Of each checkpoint in turn its rounds, with what the earlier ones have shown."""
    last, latent, mean = np.full(margins.shape[1], -np.inf), np.zeros(margins.shape[1]), 0.0
    found = []
    for now, own in enumerate(margins):
        lag = np.where(np.isinf(last), 1e9, now - last)
        rounds = list(settle((own > 0).astype(np.int64), foretold(mean, latent, lag), band, level, generator))
        read = np.concatenate(rounds)
        spread = own[read].std() + 1e-6
        mean = own[read].mean() / spread
        latent[read], last[read] = own[read] / spread - mean, now
        found.append(rounds)
    return found


def in_order(margins: Floats, level: float, hi: float, generator: np.random.Generator) -> list[list[Integers]]:
    """The same by the rule that runs use, in one order at all checkpoints."""
    order, rule, found = generator.permutation(margins.shape[1]), by_edges(margins.shape[1], hi, level), []
    for own in margins[:, order]:
        right, rounds, read = np.append(0, np.cumsum(own > 0)), list[Integers](), 0
        while (more := rule(read, int(right[read]), int(right[read]))) > read:
            rounds.append(order[read:more])
            read = more
        found.append(rounds)
    return found


def seconds(run: Run, rounds: Sequence[Sequence[tuple[str, Integers]]]) -> float:
    """Of this processor, for the pairs of each round, by paradigm and number, scored together by a model of size M."""
    import torch
    from transformers import AutoTokenizer, OPTConfig, OPTForCausalLM

    from ontogeny.recipe import Scoring
    from ontogeny.scoring import pairs, plan

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(run.folder.tokenizer)
    wanted = {paradigm for part in rounds for paradigm, _ in part}
    asked = sorted((one for one in run.asked[0].pairs if one.paradigm in wanted), key=lambda one: (one.paradigm, one.pair))
    first = {one.paradigm: number for number, one in reversed(list(enumerate(asked)))}
    whole = plan.make(asked, tokenizer, tokenizer.bos_token_id, 128)
    size = {"hidden_size": 256, "word_embed_proj_dim": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "ffn_dim": 1024}
    model = OPTForCausalLM(OPTConfig(vocab_size=len(tokenizer), max_position_embeddings=128, **size)).eval()

    def score(which: Sequence[int]) -> None:
        pairs.read(model, whole.part(np.array(sorted(which))), torch.device("cpu"), Scoring().batch_tokens)

    score(range(64))
    begun = time.process_time()
    for part in rounds:
        score([first[paradigm] + int(pair) for paradigm, own in part for pair in own])
    return time.process_time() - begun


def options(parser: argparse.ArgumentParser) -> None:
    """Of the command line."""
    parser.add_argument("run", metavar="RUN", type=Path, help="a run that was read whole")
    parser.add_argument("--every", type=int, default=4, help="of its paradigms every so many [4]")
    parser.add_argument("--at", type=int, nargs="*", default=[8, 16, 24], help="checkpoints whose pairs are scored, by number")


def run(asked: argparse.Namespace) -> None:
    """Prints the share of pairs at each checkpoint, and seconds."""
    own, margin = Run(asked.run), pl.col("logp_good") - pl.col("logp_bad")
    rows = own.scores().filter(pl.col("seed") == own.folder.seeds()[0]).select("paradigm", "pair", "step", x=margin).collect()
    paradigms, steps = sorted(rows["paradigm"].unique()), rows["step"].n_unique()
    level, found = 0.05 / (len(paradigms) * (steps - 1) * len(own.folder.seeds())), dict[str, list[dict[str, list[Integers]]]]()
    total = 0  # pairs of the paradigms
    for number, paradigm in enumerate(paradigms[:: asked.every]):
        margins = rows.filter(pl.col("paradigm") == paradigm).sort("step", "pair")["x"].to_numpy().reshape(steps, -1)
        n, generator = margins.shape[1], np.random.default_rng(number)
        total += n
        hi = upper_edge(n, len(paradigms), Thresholds())
        band = math.floor((1 - hi) * n + 1e-9), math.ceil(hi * n - 1e-9)
        for name, own_rounds in (
            ("with memory", drawn_anew(margins, level, band, generator)),
            ("as runs do", in_order(margins, level, hi, generator)),
        ):
            for at, rounds in zip(found.setdefault(name, [{} for _ in range(steps)]), own_rounds, strict=True):
                at[paradigm] = rounds
    for name, every in found.items():
        shares = [sum(len(pairs) for rounds in at.values() for pairs in rounds) / total for at in every]
        print(f"{name}: {np.mean(shares[:-1]):.3f} of the pairs before the last checkpoint:", *(f"{one:.2f}" for one in shares))
    for at in asked.at:
        told = []
        for name, every in found.items():
            depth = max(map(len, every[at].values()))
            parts = [[(name, rounds[k]) for name, rounds in every[at].items() if k < len(rounds)] for k in range(depth)]
            read = sum(len(pairs) for part in parts for _, pairs in part)
            told.append(f"{name} {read:,} pairs in {depth} rounds, {seconds(own, parts):.1f} s of processor")
        print(f"checkpoint {at}:", "; ".join(told), flush=True)
