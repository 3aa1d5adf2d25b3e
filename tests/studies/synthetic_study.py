"""A study's folder with made-up numbers: run folders of several arms, as training, scoring and judging leave them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tiny

from ontogeny import recipe
from ontogeny.disk import write_json, write_table
from ontogeny.instruments.dev_loss import DevLoss
from ontogeny.recipe import Thresholds
from ontogeny.store import RunFolder
from ontogeny.studies.plan import Arm, ArmTemplate, Prediction, Study, StudyFile
from ontogeny.trajectories import Timeline, curve, judge

STEPS = (0, 4, 16, 32, 64, 100, 200, 400, 600, 800, 850, 900, 950, 1000)
TOTAL, TRAINED_FROM, WARMUP = 1000, 32, 50
ENTROPY = 5.2  # nats, between the dev losses at steps 16 and 32
NAMED = ("principle_A_domain_1_a", "wh_vs_that_with_gap")
CONTROLS = ("anaphor_number_agreement", "regular_plural_subject_verb", "passive_1")
B0 = {"principle_A_domain_1_a": -0.8, "wh_vs_that_with_gap": -0.4}
TIMINGS = {"all": (0.0, 1.0), "early": (0.0, 0.1), "late": (0.1, 1.0)}
DOSES = (-1.0, -0.5, 0.5, 1.0)


BASE = recipe.parse(
    "{name: base, corpus: {kind: micro-english}, tokenizer: {kind: word}, model: {kind: opt}, suites: [micro-english]}", "base"
)
PREDICTIONS = {
    "P1": Prediction(
        says="The early margin rises with the dose.",
        measure="early_margin",
        of="slope",
        over="bigram_margin",
        arms=("all *",),
        supported={"above": 0},
        refuted={"within": 0.02},
    ),
    "P2": Prediction(
        says="An early-only dose changes the late state.",
        measure="late_accuracy",
        of="slope",
        over="bigram_margin",
        arms=("early *",),
        supported={"above": 0},
        refuted={"within": 0.03},
    ),
    "P3": Prediction(
        says="Neutralising late only does not rescue.",
        measure="late_accuracy",
        of="difference",
        arms=("late 0.5",),
        supported={"below": 0.1},
        refuted={"above": 0.1},
    ),
    "P5": Prediction(
        says="Control paradigms move by less than .03.",
        measure="late_accuracy",
        of="equivalence",
        paradigms="controls",
        supported={"within": 0.03},
        refuted={"outside": 0.03},
    ),
}


def arm(timing: str, dose: float) -> Arm:
    changes = f"exchange (dose {dose:g}), {timing}"
    slug = f"{timing}-{dose:g}".replace("--", "-minus-")
    return Arm(f"{timing} {dose:g}", slug, 1, {"timing": timing, "dose": dose}, changes, {"interventions": dose}, BASE)


def plain(name: str, changes: str, priority: int = 1) -> Arm:
    return Arm(name, name.replace(" ", "-"), priority, {}, changes, {}, BASE)


UNTOUCHED = plain("untouched", "nothing")
SHAM = plain("sham", "exchange that changes no evidence", 2)
WARM = plain("warm-up x 2", "training.warmup=0.1", 2)
SMALL = (UNTOUCHED, arm("all", -1.0), arm("all", 1.0), arm("early", 1.0))
WHOLE = (UNTOUCHED, *(arm(t, d) for t in TIMINGS for d in DOSES), SHAM, WARM)


def study_of(arms: tuple[Arm, ...] = SMALL, predictions: tuple[str, ...] = ("P1", "P2", "P5"), **changes: Any) -> Study:
    """A study of these arms, put together without its file."""
    file = StudyFile(
        **{
            "name": "exchange-micro",
            "question": "Do misleading bigrams early in training decide the late state?",
            "recipe": "base.yaml",
            "seeds": (0, 1, 2),
            "paradigms": NAMED,
            "controls": CONTROLS,
            "reference": "untouched",
            "arms": [ArmTemplate(name=one.name) for one in arms],
            "predictions": {name: PREDICTIONS[name] for name in predictions},
            "analysis": {"resamples": 200},
            **changes,
        }
    )
    return Study("exchange-micro.yaml", file, BASE, arms)


def margins(one: Arm, paradigm: str, step: int, seed: int, pairs: int) -> np.ndarray:
    """Margins of the pairs at a step: they lean on the bigrams first, and on what came early at the end."""
    share = np.log1p(step) / np.log1p(TOTAL)
    dose, timing = one.factors.get("dose", 0.0), one.factors.get("timing")
    start, until = TIMINGS.get(timing, (0.0, 0.0))
    bigrams = B0.get(paradigm, 0.6)
    now = bigrams + 2 * dose * abs(bigrams) * (start <= step / TOTAL < until or (until == 1 and step == TOTAL))
    first = bigrams + 2 * dose * abs(bigrams) * (start == 0)
    now, first = (now, first) if paradigm in B0 else (bigrams, bigrams)
    lean, grammar = np.exp(-(((share - 0.62) / 0.25) ** 2)), 1 / (1 + np.exp(-18 * (share - 0.78)))
    own = np.random.default_rng([seed, len(paradigm)]).normal(0, 0.25) * share
    noise = np.random.default_rng([len(paradigm), 7]).normal(0, 0.9, pairs)
    wobble = np.random.default_rng([seed, step, len(paradigm), len(one.name)]).normal(0, 0.08)
    return lean * now + grammar * (0.7 + 0.9 * np.sign(first) * min(abs(first), 1)) + own + wobble + noise * share


def write_arm(run: RunFolder, one: Arm, seeds: tuple[int, ...], pairs: int, steps: tuple[int, ...], total: int = TOTAL) -> None:
    paradigms = (*NAMED, *CONTROLS)
    table = pl.DataFrame(
        [(p, str(i), f"c{i // 2}", f"Good {i} & so.", f"Bad {i} & so.", "binding") for p in paradigms for i in range(pairs)],
        schema=["paradigm", "pair", "contrast", "good", "bad", "phenomenon"],
        orient="row",
    )
    write_table(run.pairs("micro"), table, {"key": "pairs"})
    rows = []
    for seed in seeds:
        for step in steps:
            found = np.concatenate([margins(one, paradigm, step, seed, pairs) for paradigm in paradigms])
            scores = table.select("paradigm", "pair").with_columns(
                logp_good=-30.0 + pl.Series(found), logp_bad=-30.0, tokens_good=5, tokens_bad=5
            )
            write_table(run.scores(seed, "micro", step), scores, {"weights": f"{seed}-{step if step else 'first'}"})
            clock = {"suite": pl.lit("micro"), "seed": pl.lit(seed, pl.Int64), "step": pl.lit(step, pl.Int64)}
            clock |= {"tokens": pl.lit(step * 512, pl.Int64), "words": pl.lit(step * 400.0)}
            rows.append(curve(scores).with_columns(**clock))
            loss = 2.9 + 3 * float(np.exp(-step / 90)) + 0.02 * seed
            tiny.keep_reading(run, DevLoss.of(one.recipe), seed, step, dev=loss)
        at = np.arange(1, max(steps) + 1)
        write_table(
            run.losses(seed), pl.DataFrame({"step": at, "tokens": at * 512, "words": at * 400.0, "loss": 5.0, "seconds": 0.05})
        )
    curves = pl.concat(rows).with_columns(phenomenon=pl.lit("binding"), field=pl.lit("syntax")).sort("paradigm", "seed", "step")
    write_table(run.curves, curves)
    time = Timeline(steps, total, WARMUP, TRAINED_FROM, 512, 400.0)
    write_table(run.verdicts, judge(curves, time, Thresholds(resamples=10, hi=0.6)))
    run.note(
        created="2026-11-21T14:40:00+00:00",
        kind="trained",
        command="ontogeny study run exchange-micro.yaml",
        versions={"python": "3.11.9", "torch": "2.13.0", "ontogeny": "0.1.0"},
        hardware={"processor": "a laptop <4 cores>"},
        training={"steps": total, "warmup": WARMUP, "parameters": 1_450_000},
        engine={"device": "cpu", "threads": 1, "precision": "float32", "compile": False},
        tokens={"train": {"unigram_entropy": ENTROPY}},
    )
    run.tokenizer.mkdir()
    (run.tokenizer / "tokenizer.json").write_text("{}", encoding="utf-8")
    write_interventions(run, one)


def write_interventions(run: RunFolder, one: Arm) -> None:
    timing, dose = one.factors.get("timing"), one.factors.get("dose")
    settings = (
        ""
        if timing is None
        else json.dumps([{"kind": "exchange", "dose": dose, "when": {"from": TIMINGS[timing][0], "until": TIMINGS[timing][1]}}])
    )
    run.recipe.write_text(f"name: {one.slug}\nverdicts: {{hi: 0.6}}\n{f'interventions: {settings}' if settings else ''}\n", "utf-8")
    marks = sorted({0.0, 1.0, *TIMINGS.get(timing, ())})
    periods = list(pairwise(marks))
    held = [timing is not None and TIMINGS[timing][0] <= a and b <= TIMINGS[timing][1] for a, b in periods]
    rows = [
        (paradigm, a, b, bigrams + (2 * dose * abs(bigrams) if inside else 0))
        for paradigm, bigrams in {**B0, **dict.fromkeys(CONTROLS, 0.6)}.items()
        for (a, b), inside in zip(periods, held, strict=True)
    ]
    rows = [row if row[0] in B0 else (*row[:3], 0.6) for row in rows]
    schema = {"paradigm": pl.String, "start": pl.Float64, "until": pl.Float64, "bigram_margin": pl.Float64}
    write_table(run.stream_margins, pl.DataFrame(rows, schema=schema, orient="row"))
    if timing is None:
        return
    streams = [
        {"from": a, "until": b, "edits": [1] if inside else [], "stream": "train-1" if inside else "train"}
        for (a, b), inside in zip(periods, held, strict=True)
    ]
    facts = {
        "changes": 40,
        "exchanges": 40,
        "trigram change": 0.031,
        "construction": {
            "pattern": "PRP VBD that <who>",
            "hits": ["She said that he saw himself.", "He said that <b>she</b> saw herself."],
            "misses": ["The cat saw the dog.", "A dog & a cat slept."],
        },
    }
    promises = [{"promise": name, "kept": True} for name in ("documents", "lengths", "unigrams", "construction")]
    edit = {
        "number": 1,
        "after": [],
        "kind": "exchange",
        "key": "k",
        "settings": {"dose": dose},
        "promises": promises,
        "facts": facts,
    }
    write_json(run.interventions, {"streams": streams, "edits": [edit]})
    lines = [json.dumps({"source": "a.txt", "line": i, "before": f"cat {i}", "after": f"dog <i>{i}</i>"}) for i in range(40)]
    run.changes(1, "exchange").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make_study(
    folder: Path, study: Study, *, pairs: int = 12, missing: tuple[str, ...] = (), short: dict[str, int] | None = None
) -> Path:
    """Writes the folder; arms in `missing` are not started, `short` names arms whose last seed ends at that step."""
    for one in study.arms:
        if one.name not in missing:
            write_arm(RunFolder(folder / "arms" / one.slug), one, study.file.seeds, pairs, STEPS)
    for name, end in (short or {}).items():
        run = RunFolder(folder / "arms" / next(one.slug for one in study.arms if one.name == name))
        kept = (pl.col("seed") != study.file.seeds[-1]) | (pl.col("step") <= end)
        write_table(run.curves, pl.read_parquet(run.curves).filter(kept))
    return folder
