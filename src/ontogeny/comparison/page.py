"""The page that compares runs: one HTML file that asks the network for nothing, and the tables and figures behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ontogeny.comparison import figures, sentences
from ontogeny.comparison.differing import text
from ontogeny.comparison.gathering import ComparedRun, RunComparison, gather, weights
from ontogeny.pages.axes import known, save
from ontogeny.pages.embed import Charts, drawn
from ontogeny.pages.templates import look, templates
from ontogeny.pages.words import human
from ontogeny.report.headline import MEANINGS
from ontogeny.store import atomic, claim, file_hash, human_size, write_table

GLYPHS = {  # beside the colour, so that no verdict is told by it alone
    "entrenched": "✕",
    "forgotten": "↘",
    "late-wrong": "▼",
    "late recovery": "◐",
    "u-shaped": "∪",
    "learned": "●",
    "escaped": "◌",
    "never separated": "–",
    "undecided": "?",
    "unobserved": "·",
}
DRAWN = ("bits_per_word", "accuracy")
FOLDER = "comparison-{}"


def compare(
    paths: Sequence[Path],
    out: Path | None = None,
    suite: str | None = None,
    title: str | None = None,
    yardsticks: Sequence[Path] = (),
    warn: Callable[[str], None] = lambda text: None,
    outcomes: Sequence[str] = (),
) -> tuple[RunComparison, Path]:
    """Compares runs and writes their page; what was gathered, and the page's path.  `warn` hears what a reader should know.

    `out` is the page's folder; left out: `comparison-NAME` here, by what the runs' names have in common.
    Raises OntogenyError as `gathering.gather` does.
    """
    gathered = gather(paths, suite, title, yardsticks, outcomes)
    for note in gathered.notes:
        warn(note)
    return gathered, write_comparison(gathered, out or where(paths, Path()))


def where(paths: Sequence[Path], root: Path) -> Path:
    """The folder in `root` of the page that compares these runs, by what their names have in common."""
    from ontogeny.comparison.names import parted

    common, own = parted([path.resolve().name for path in paths])
    return root / FOLDER.format(common or "-".join(own[:2]))


def write_comparison(gathered: RunComparison, folder: Path) -> Path:
    """Writes index.html, and beside it `tables` (parquet and CSV) and `figures` (SVG).  Returns the page's path."""
    claim(folder, "tables/runs.parquet", "Name another folder with --out", "index.html")
    for name in ("runs", "cells", "pairs", "curves", "spread"):
        table: pl.DataFrame = getattr(gathered, name)
        write_table(folder / "tables" / f"{name}.parquet", table)
        with atomic(folder / "tables" / f"{name}.csv") as temporary:
            flat(table).write_csv(temporary)
    for value in _drawn(gathered):
        drawn = figures.learning_curves(gathered.curves, value, gathered.labels)
        save(drawn, folder / "figures" / f"{value.replace('_', '-')}.svg")
    page = folder / "index.html"
    with atomic(page) as temporary:
        temporary.write_text(render(gathered, _links(gathered, folder)), encoding="utf-8")
    return page


def flat(table: pl.DataFrame) -> pl.DataFrame:
    """The table with its lists as text, for CSV."""
    lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
    return table.with_columns(pl.col(name).list.join("; ") for name in lists)


def render(gathered: RunComparison, links: dict[str, str] | None = None) -> str:
    """The page as HTML; the same runs give the same page.  `links`: by run, where its own page is, seen from this one."""
    charts, labels = Charts(), gathered.labels
    wrong = _wrong(gathered)
    alike = sum(len(set(row)) == 1 for row in _by_paradigm(gathered, "verdict").values())
    return (
        templates(Path(__file__).parent, share=_share)
        .get_template("comparison.html.jinja")
        .render(
            title=gathered.title,
            suite=gathered.suite,
            labels=labels,
            links=links or {},
            lead=sentences.lead(gathered.suite, wrong, alike, labels),
            findings=sentences.findings(gathered.runs, gathered.pairs, same_text=gathered.same_text),
            caveat=sentences.caveat(gathered.runs, gathered.pairs, gathered.spread),
            notes=gathered.notes,
            differing=gathered.differing,
            runs=_runs(gathered),
            has={name: known(gathered.runs, name) for name in gathered.runs.columns},
            curves=[
                (value, charts.add(figures.learning_curves(gathered.curves, value, labels, width="container")))
                for value in _drawn(gathered)
            ],
            bands=figures.BANDS,
            several=bool((gathered.runs["seeds"] > 1).any()),
            map=_map(gathered),
            counts=_counts(gathered),
            groups=sentences.groups(wrong, labels),
            sets=_sets(gathered),
            agreement=_agreement(gathered),
            order=_order(gathered),
            pairs=[_pair(row) for row in gathered.pairs.to_dicts()],
            spread=[_spread(row) for row in gathered.spread.to_dicts()],
            meanings=MEANINGS,
            glyphs=GLYPHS,
            made=_made(gathered),
            **look(),
            **drawn(charts),
        )
    )


def _links(gathered: RunComparison, folder: Path) -> dict[str, str]:
    """By run, its own page as a relative link: only from a folder near to it, so that the link names nothing of the machine."""
    found = {}
    for read in gathered.reads:
        page, base = read.folder.report.resolve(), folder.resolve().parent
        if page.exists() and page.is_relative_to(base):
            found[read.label] = f"../{page.relative_to(base).as_posix()}"
    return found


def _drawn(gathered: RunComparison) -> list[str]:
    """The figures that there is something for."""
    return [value for value in (*DRAWN, *gathered.outcomes) if known(gathered.curves.drop_nulls("words"), value)]


def overview(gathered: RunComparison) -> tuple[list[str], list[list[str]]]:
    """Headers and rows for the terminal: a run each; a header that begins with > stands above figures."""
    headers = ["run", ">parameters", ">bits per word", ">accuracy", ">end wrong", ">tokens/s", "verdicts"]
    rows = [
        [
            *(row[name] for name in ("run", "parameters", "bits", "accuracy")),
            f"{row['wrong']}",
            row["rate"],
            ", ".join(f"{number} {name}" for name, number in row["verdicts"]),
        ]
        for row in _runs(gathered)
    ]
    return headers, rows


# --- parts of the page --------------------------------------------------------------------------------------------


def _by_paradigm(gathered: RunComparison, column: str) -> dict[str, list[Any]]:
    """Paradigm: its value in each run, in the order of the page."""
    found: dict[str, list[Any]] = {name: [] for name in gathered.paradigms}
    for name, value in gathered.cells.select("paradigm", column).iter_rows():
        found[name].append(value)
    return found


def _wrong(gathered: RunComparison) -> dict[str, list[str]]:
    """Paradigm: the runs in which it ends wrong."""
    return {
        name: [label for label, is_wrong in zip(gathered.labels, row, strict=True) if is_wrong]
        for name, row in _by_paradigm(gathered, "ends_wrong").items()
    }


def _runs(gathered: RunComparison) -> list[dict[str, Any]]:
    """A row a run: what is written, and under `sort` what it is sorted by."""
    return [_run(row) for row in gathered.runs.to_dicts()]


def _run(row: dict[str, Any]) -> dict[str, Any]:
    bits = row["bits_per_word"]
    if bits is not None:
        said = f"{bits:.3f}{' *' if row['dev_unknown'] else ''}"
    else:
        said = "not comparable" if row["dev_loss"] is not None and not row["next_token"] else "not known"
    rate, sd, of = row["tokens_per_second"], row["accuracy_sd"], "token" if row["next_token"] else "masked token"
    return {
        "run": row["run"],
        "seeds": row["seeds"],
        "parameters": human(row["parameters"]) if row["parameters"] else "not known",
        "epoch": human(row["epoch_tokens"]) if row["epoch_tokens"] else "not known",
        "steps": f"{row['steps']:,}",
        "words": human(row["words"]) if row["words"] else "not known",
        "bits": said,
        "loss": "" if row["dev_loss"] is None else f"{row['dev_loss']:.3f} nats a {of}",
        "accuracy": _share(row["accuracy"]),
        "interval": f"{_share(row['accuracy_low'])} to {_share(row['accuracy_high'])}",
        "sd": "" if sd is None else f"seeds ±{_share(sd)}",
        "wrong": row["ends_wrong"],
        "rate": "not known" if rate is None else human(rate),
        "memory": "not known" if row["peak_memory"] is None else human_size(row["peak_memory"]),
        "verdicts": [(name, row[name]) for name in GLYPHS if row[name]],
        "sort": {name: row[name] for name in ("parameters", "epoch_tokens", "words", "tokens_per_second", "peak_memory")},
        "sort_bits": bits,
    }


def _counts(gathered: RunComparison) -> list[str]:
    """The verdicts that there are, in the order of GLYPHS."""
    there = set(gathered.cells["verdict"])
    return [name for name in GLYPHS if name in there]


def _map(gathered: RunComparison) -> list[dict[str, Any]]:
    """Phenomena with their paradigms, each with a cell a run."""
    first = gathered.cells.filter(run=gathered.labels[0])
    phenomena = {row["paradigm"]: row["phenomenon"] or "" for row in first.to_dicts()}
    cells: dict[str, list[dict[str, Any]]] = {name: [] for name in gathered.paradigms}
    for row in gathered.cells.to_dicts():
        cells[row["paradigm"]].append(_cell(row))
    found: dict[str, list[dict[str, Any]]] = {}
    for name in gathered.paradigms:
        own = cells[name]
        ends = {cell["wrong"] for cell in own}
        line = {"paradigm": name, "cells": own, "differs": len({cell["verdict"] for cell in own}) > 1, "ends": len(ends) > 1}
        found.setdefault(phenomena[name], []).append(line)
    return [{"name": phenomenon.replace("_", " "), "rows": lines} for phenomenon, lines in found.items()]


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    late = "" if row["late_mean"] is None else f"; late mean {_share(row['late_mean'])}"
    ends = "" if row["late_low"] is None else f" ({_share(row['late_low'])} to {_share(row['late_high'])})"
    return {
        "verdict": row["verdict"],
        "accuracy": "" if row["accuracy"] is None else f"{100 * row['accuracy']:.0f}",
        "wrong": row["ends_wrong"],
        "title": f"{row['paradigm']}, {row['run']}: {row['verdict']}{late}{ends}; {row['reason']}",
    }


Matrix = list[dict[str, Any]]


def _matrix(
    gathered: RunComparison, below: Callable[[dict[str, Any]], Any], above: Callable[[dict[str, Any]], Any], own: Any
) -> Matrix:
    """A row a run of (text, share of the colour, small text): `below` and `above` the diagonal, from the row of the two runs."""
    pairs = {(row["first"], row["second"]): row for row in gathered.pairs.to_dicts()}
    labels = gathered.labels
    rows = []
    for i, one in enumerate(labels):
        cells = []
        for j, other in enumerate(labels):
            if i == j:
                cells.append(own(one))
            else:
                cells.append(below(pairs[other, one]) if i > j else above(pairs[one, other]))
        rows.append({"run": one, "cells": cells})
    return rows


def _agreement(gathered: RunComparison) -> Matrix:
    """Same verdicts below, Cohen's kappa above, two seeds of one run on the diagonal."""
    inside = {row["run"]: row["agreement"] for row in gathered.spread.to_dicts()}
    return _matrix(
        gathered,
        lambda row: (_short(row["agreement"]), row["agreement"], ""),
        lambda row: (_short(row["kappa"]), row["kappa"], ""),
        lambda run: (_short(inside.get(run)), None, "seeds" if inside.get(run) is not None else ""),
    )


def _order(gathered: RunComparison) -> Matrix:
    """Spearman's rho below, its interval above, two seeds of one run on the diagonal."""
    inside = {row["run"]: row["rho"] for row in gathered.spread.to_dicts()}
    return _matrix(
        gathered,
        lambda row: (_short(row["rho"]), row["rho"], ""),
        lambda row: ("", None, f"{_short(row['rho_low'])} to {_short(row['rho_high'])}"),
        lambda run: (_short(inside.get(run)), None, "seeds" if inside.get(run) is not None else ""),
    )


def _sets(gathered: RunComparison) -> Matrix:
    """How many end wrong in both below, with what chance gives; Jaccard above; how many in the run itself on the diagonal."""
    size = dict(gathered.runs.select("run", "ends_wrong").iter_rows())
    return _matrix(
        gathered,
        lambda row: (str(row["both"]), None, f"chance {row['expected']:.1f}"),
        lambda row: (_short(row["jaccard"]), row["jaccard"], ""),
        lambda run: (str(size[run]), None, ""),
    )


def _pair(row: dict[str, Any]) -> dict[str, Any]:
    """A row for two runs, as it is written."""
    return {
        "runs": f"{row['first']} · {row['second']}",
        "agreement": _share(row["agreement"]),
        "kappa": _share(row["kappa"]),
        "rho": _share(row["rho"]),
        "rho_ends": f"{_share(row['rho_low'])} to {_share(row['rho_high'])}",
        "difference": _signed(row["difference"]),
        "difference_ends": f"{_signed(row['difference_low'])} to {_signed(row['difference_high'])}",
        "sizes": f"{row['size_first']}, {row['size_second']}",
        "both": row["both"],
        "expected": f"{row['expected']:.1f}",
        "jaccard": _share(row["jaccard"]),
        "p": sentences.probability(row["p"]).removeprefix("= "),
        "p_adjusted": sentences.probability(row["p_adjusted"]).removeprefix("= "),
        "sort": row,
    }


def _spread(row: dict[str, Any]) -> dict[str, Any]:
    return {"run": row["run"], "seeds": row["seeds"], **{name: _share(row[name]) for name in ("agreement", "rho", "sd")}}


def _made(gathered: RunComparison) -> list[dict[str, Any]]:
    """How each run was made, in a row; the whole of it stands on the run's own page."""
    return [_origin(read, gathered.suite) for read in gathered.reads]


def _origin(read: ComparedRun, suite: str) -> dict[str, Any]:
    lineage, of_weights = read.lineage, weights(read, suite)
    versions, engine, hardware = (lineage.get(name) or {} for name in ("versions", "engine", "hardware"))
    return {
        "run": read.label,
        "folder": read.folder.name,
        "recipe": file_hash(read.folder.recipe)[:16],
        "pairs": str(((lineage.get("suites") or {}).get(suite) or {}).get("key") or "not kept"),
        "weights": of_weights[:16] if of_weights else "not kept",
        "begun": str(lineage.get("created", "not known")),
        "versions": ", ".join(f"{name} {versions[name]}" for name in ("ontogeny", "torch", "transformers") if name in versions),
        "hardware": text([part for part in (hardware.get("processor"), *(hardware.get("gpus") or [])) if part]),
        "engine": text({name: value for name, value in engine.items() if value is not None}),
    }


def _share(value: float | None) -> str:
    """Three digits without a leading zero; nothing for what is not known."""
    return "" if value is None else f"{value:.3f}".replace("0.", ".", 1).replace("-", "−")


def _signed(value: float | None) -> str:
    return "" if value is None else f"{'+' if value > 0 else ''}{_share(value)}"


def _short(value: float | None) -> str:
    """Two digits, for the cells of a matrix."""
    return "" if value is None else f"{value:.2f}".replace("0.", ".", 1).replace("-", "−")
