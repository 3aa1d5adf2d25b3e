"""The pairs of a paradigm at a checkpoint, with each token's surprisal where that was asked for; and one pair's whole life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ontogeny.disk import collected, scan_table, scan_tables
from ontogeny.explorer.addresses import Asked, View, slug
from ontogeny.explorer.errands import Errand, outcome
from ontogeny.explorer.seen import COLUMNS, evenly
from ontogeny.explorer.shelf import found
from ontogeny.explorer.views.runs import trail_of
from ontogeny.opened import OpenedRun
from ontogeny.records import Checkpoint
from ontogeny.report.examples import Words, marked
from ontogeny.scoring.options import wrong_sides
from ontogeny.store import RunFolder
from ontogeny.trajectories.curves import margin

PAGE = 50  # pairs on a page
SHOWN = {  # filters: what is kept of the pairs
    "all": pl.lit(True),
    "wrong": pl.col("margin") < 0,
    "right": pl.col("margin") > 0,
    "flipped": pl.col("flipped") != "",
    "to wrong": pl.col("flipped") == "to wrong",
    "to right": pl.col("flipped") == "to right",
}
SORTED = {"worst first": ("margin", False), "best first": ("margin", True), "as in the suite": ("place", False)}
LIFE = {"pair": pl.String, **dict.fromkeys(("logp_good", "logp_bad", "margin"), pl.Float64), "seed": pl.Int64, "step": pl.Int64}
SCALE = 12.0  # bits: a token this surprising is drawn as dark as it gets


def names_of(asked: Asked, run: RunFolder) -> tuple[str, str, pl.LazyFrame]:
    """Suite and paradigm of an address, and that paradigm's pairs.  Raises Lost for what the run has not."""
    title = asked.shelf.title(run.path)
    suite = found(asked.names["suite"], {slug(name): name for name in run.suites()}, "suite", f"in {title}")
    table = scan_table(run.pairs(suite))
    there = asked.shelf.known(
        f"paradigms of {suite}", run, lambda _: table.select(pl.col("paradigm").unique()).collect()["paradigm"].to_list()
    )
    paradigm = found(asked.names["paradigm"], {slug(name): name for name in there}, "paradigm", f"in {suite} of {title}")
    return suite, paradigm, table.filter(pl.col("paradigm") == paradigm)


def moment_of(asked: Asked, run: RunFolder, steps: Mapping[int, Sequence[int]]) -> tuple[int, int]:
    """Seed and step of an address, among those that there are.  Raises Lost for others."""
    title = asked.shelf.title(run.path)
    seed = found(asked.names["seed"], {str(seed): seed for seed in steps}, "seed", f"in {title}")
    step = found(asked.names["step"], {str(step): step for step in steps[seed]}, "checkpoint at step", f"of seed {seed} in {title}")
    return seed, step


def pairs(asked: Asked) -> View:
    """A page of pairs."""
    run = asked.shelf.run(asked.names["run"])
    title = asked.shelf.title(run.path)
    suite, paradigm, table = names_of(asked, run)
    scored = asked.shelf.scored(run, suite)
    seed, step = moment_of(asked, run, scored)
    place = scored[seed].index(step)
    before = scored[seed][place - 1] if place else None
    every = at(run, suite, paradigm, table, seed, step, before)
    show, order = _choice(asked, "show", SHOWN), _choice(asked, "sort", SORTED)
    typed = asked.query.get("find", "").lower().split()
    by, down = SORTED[order]
    kept = every.filter(SHOWN[show], *(_has(word) for word in typed)).sort(by, descending=down, nulls_last=True)
    page = min(_whole(asked.query.get("page")), max(0, (len(kept) - 1) // PAGE))
    rows = kept.slice(page * PAGE, PAGE).to_dicts()
    tokens = _tokens(asked, run, seed, step, rows)
    for row in rows:
        row["good"], row["bad"] = _sides(row, outcome(tokens) if tokens and tokens.future.done() else None)
        row["link"] = asked.link("pair", title, suite, paradigm, row["pair"])
    flips = {name: int((every["flipped"] == name).sum()) for name in ("to right", "to wrong")}
    return View(
        title=f"{paradigm} at step {step:,}",
        template="pairs.html.jinja",
        values={
            "paradigm": paradigm,
            "rows": rows,
            "of": len(kept),
            "all": len(every),
            "right": float(every["right"].sum()),
            "flips": flips,
            "seed": seed,
            "step": step,
            "before": before,
            "steps": [(at, asked.link("pairs", title, suite, paradigm, seed, at)) for at in _near(scored[seed], place)],
            "seeds": [(one, asked.link("pairs", title, suite, paradigm, one, step)) for one in scored if step in scored[one]],
            "checkpoint": asked.link("checkpoint", title, seed, step),
            "page": page,
            "pages": -(-len(kept) // PAGE),
            "show": show,
            "shown": list(SHOWN),
            "sort": order,
            "sorted": list(SORTED),
            "find": asked.query.get("find", ""),
            "tokens": tokens is not None and tokens.future.done(),
        },
        trail=trail_of(asked, run, (paradigm, asked.link("paradigm", title, suite, paradigm))),
        waits=tokens if tokens and not tokens.future.done() else None,
        table=every.drop("place", "right"),
    )


def at(
    run: RunFolder, suite: str, paradigm: str, table: pl.LazyFrame, seed: int, step: int, before: int | None = None
) -> pl.DataFrame:
    """The pairs of a paradigm at a checkpoint: margin, which side was preferred, and who flipped since the one before."""
    own = _margins(scan_table(run.scores(seed, suite, step)), paradigm).select("pair", "logp_good", "logp_bad", "margin")
    columns = table.collect_schema().names()
    kept = [name for name in ("pair", "context", "good", "bad") if name in columns]
    joined = table.select(kept).with_row_index("place").join(own, on="pair", how="left", maintain_order="left")
    if before is None:
        joined = joined.with_columns(before=pl.lit(None, pl.Float64))
    else:
        earlier = _margins(scan_table(run.scores(seed, suite, before)), paradigm).select("pair", before="margin")
        joined = joined.join(earlier, on="pair", how="left", maintain_order="left")
    now, was = pl.col("margin"), pl.col("before")
    flipped = pl.when((now > 0) & (was < 0)).then(pl.lit("to right")).when((now < 0) & (was > 0)).then(pl.lit("to wrong"))
    right = pl.when(now > 0).then(1.0).when(now < 0).then(0.0).when(now == 0).then(0.5)
    return joined.with_columns(flipped=flipped.otherwise(pl.lit("")), right=right).collect()


def _margins(scores: pl.LazyFrame, paradigm: str) -> pl.LazyFrame:
    wrong = wrong_sides(scores.collect_schema().names())
    return scores.filter(pl.col("paradigm") == paradigm).with_columns(margin=margin(wrong))


def _has(word: str) -> pl.Expr:
    return (
        pl.concat_str("pair", "good", "bad", separator=" ", ignore_nulls=True).str.to_lowercase().str.contains(word, literal=True)
    )


def _choice(asked: Asked, name: str, known: Mapping[str, Any]) -> str:
    wanted = asked.query.get(name, "")
    return wanted if wanted in known else next(iter(known))


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 9 else 0


def _near(steps: Sequence[int], place: int) -> list[int]:
    """The checkpoints that can be gone to: all of them, or where they are many the nearest and some evenly chosen."""
    return sorted({*evenly(list(steps), COLUMNS), *steps[max(0, place - 1) : place + 2]})


# --- token by token -----------------------------------------------------------------------------------------------


def _tokens(asked: Asked, run: RunFolder, seed: int, step: int, rows: Sequence[Mapping[str, Any]]) -> Errand | None:
    """The surprisals of a page's sentences, where they were asked for or are there."""
    sentences = [row[side] for row in rows for side in ("good", "bad") if row[side]]
    contexts = [row.get("context") for row in rows for side in ("good", "bad") if row[side]]
    key = ("tokens", str(run.path), seed, step, tuple(sentences), tuple(contexts))
    if not asked.live or not sentences or ("tokens" not in asked.query and not asked.shelf.errands.known(key)):
        return None
    return asked.shelf.errands.ask(
        key,
        f"reading {len(sentences)} sentences at step {step:,}",
        lambda errand: _read(run, seed, step, sentences, contexts, errand),
    )


def checkpoint_of(run: RunFolder, seed: int, step: int) -> Checkpoint:
    """A checkpoint of our own, or of somebody else's; only the one that is asked for is opened."""
    if run.has_checkpoint(seed, step):
        return Checkpoint(step, run.checkpoint(seed, step))
    return next(one for one in run.checkpoints(seed) if one.step == step)


def _read(
    run: RunFolder, seed: int, step: int, sentences: Sequence[str], contexts: Sequence[str | None], errand: Errand
) -> dict[str, list[tuple[int, int, float | None]]]:
    """By sentence, each token's place in it and its surprisal in bits."""
    from ontogeny.scoring.surprisals import surprisals
    from ontogeny.tokens.pretrained import open_tokenizer

    recipe = OpenedRun(run.path).recipe
    stands_in = open_tokenizer(run.tokenizer) if recipe.scoring.tokenizer else None
    with errand.bar("tokens", len(sentences)) as progress:
        table = surprisals(
            checkpoint_of(run, seed, step).folder,
            sentences,
            contexts=contexts,
            tokenizer=stands_in,
            bos=recipe.bos,
            leading_space=recipe.scoring.leading_space,
            metric=recipe.scoring.masked,
            device=recipe.scoring.device,
            progress=progress,
        )
    parts = table.group_by("sentence", maintain_order=True)
    return {sentences[int(number)]: part.select("start", "end", "bits").rows() for (number,), part in parts}  # type: ignore[call-overload]


def _sides(row: Mapping[str, Any], read: Mapping[str, Any] | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Both sentences in stretches: text, whether it is apart, and its surprisal where that was read."""
    good, bad = marked(row["good"], row["bad"] or "")
    if read is None:
        return _stretches(good), _stretches(bad)
    return _by_token(row["good"], good, read), _by_token(row["bad"] or "", bad, read)


def _stretches(words: Words) -> list[dict[str, Any]]:
    return [{"text": f"{text} ", "apart": apart, "bits": None} for text, apart in words]


def _by_token(sentence: str, words: Words, read: Mapping[str, Any]) -> list[dict[str, Any]]:
    spans, at = [], 0
    for text, apart in words:  # stretches hold single spaces, sentences may hold more
        start = sentence.find(text.split()[0], at) if text else at
        at = start + len(text)
        spans.append((start, at, apart))
    parts: list[dict[str, Any]] = []
    end = 0
    for start, stop, bits in read.get(sentence, ()):
        if start is None:
            continue
        if start > end:
            parts.append({"text": sentence[end:start], "apart": False, "bits": None})
        apart = any(a < stop and start < b for a, b, is_apart in spans if is_apart)
        share = None if bits is None else round(min(bits / SCALE, 1.0), 2)
        parts.append({"text": sentence[max(start, end) : stop], "apart": apart, "bits": bits, "share": share})
        end = max(end, stop)
    return [part for part in [*parts, {"text": sentence[end:], "apart": False, "bits": None}] if part["text"]]


# --- a pair's life ------------------------------------------------------------------------------------------------


def _lives(run: RunFolder, suite: str, paradigm: str, scored: Mapping[int, Sequence[int]]) -> pl.DataFrame:
    """The scores of a paradigm's pairs at the checkpoints that are looked at, by seed and step."""
    moments = [(seed, step) for seed, steps in scored.items() for step in evenly(list(steps), COLUMNS)]
    if not moments:
        return pl.DataFrame(schema=LIFE)
    scores = scan_tables({(seed, step): run.scores(seed, suite, step) for seed, step in moments})
    return collected(_margins(scores, paradigm).select(*LIFE)).sort("seed", "step")


def pair(asked: Asked) -> View:
    """One pair over training: its margin, and the log-probability of both sentences."""
    from ontogeny.pages.curves import reading
    from ontogeny.pages.embed import Charts
    from ontogeny.report.likelihood import likelihood

    run = asked.shelf.run(asked.names["run"])
    title = asked.shelf.title(run.path)
    suite, paradigm, table = names_of(asked, run)
    there = {slug(row["pair"]): row for row in table.select("pair", "good", "bad").collect().to_dicts()}
    row = found(asked.names["pair"], there, "pair", f"in {paradigm}")
    scored = asked.shelf.scored(run, suite)
    lives = asked.shelf.known("lives", run, lambda run: _lives(run, suite, paradigm, scored), (suite, paradigm))
    life = lives.filter(pair=row["pair"])
    charts, drawn = Charts(), []
    clock = asked.shelf.seen(run).clock
    if len(set(life["step"])) > 1:
        own = reading(life.select("seed", "step", value="margin"), clock.spans, 0.0, width="container", height=220, last=clock.last)
        both = likelihood(life, clock.spans, width="container", height=220, last=clock.last)
        drawn = [("margin: good minus bad, nats; the dashed line is none", charts.add(own)), ("log-probability", charts.add(both))]
    good, bad = _sides(row, None)
    rows = [one | {"link": asked.link("pairs", title, suite, paradigm, one["seed"], one["step"])} for one in life.to_dicts()]
    return View(
        title=f"pair {row['pair']}",
        template="pair.html.jinja",
        values={"pair": row["pair"], "good": good, "bad": bad, "drawn": drawn, "rows": rows, "paradigm": paradigm},
        trail=trail_of(asked, run, (paradigm, asked.link("paradigm", title, suite, paradigm))),
        charts=charts,
        table=life,
    )
