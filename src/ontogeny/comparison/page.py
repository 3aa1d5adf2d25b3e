"""The page that compares runs: one HTML file that asks the network for nothing, and the tables and figures behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
from markupsafe import Markup

from ontogeny.comparison import figures, sentences
from ontogeny.comparison.against import says
from ontogeny.comparison.differing import text
from ontogeny.comparison.gathering import ComparedRun, RunComparison, gather, weights
from ontogeny.comparison.names import parted
from ontogeny.disk import atomic, claim, file_name, human_size, write_table
from ontogeny.pages.axes import known, save
from ontogeny.pages.embed import Charts, drawn
from ontogeny.pages.panel import Clock, Panel, chart, shown
from ontogeny.pages.templates import STANDALONE, PageFrame, look
from ontogeny.pages.words import MEANINGS, decimals, difference, human, probability
from ontogeny.store import file_hash

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
    folder = out or where(paths, Path())
    _claim(folder)
    gathered = gather(paths, suite, title, yardsticks, outcomes)
    for note in gathered.notes:
        warn(note)
    return gathered, write_comparison(gathered, folder)


def _claim(folder: Path) -> None:
    claim(folder, "tables/runs.parquet", "Name another folder with --out", "index.html")


def where(paths: Sequence[Path], root: Path) -> Path:
    """The folder in `root` of the page that compares these runs, by what their names have in common."""
    common, own = parted([path.resolve().name for path in paths])
    return root / FOLDER.format(file_name(common or "-".join(own[:2])))


def write_comparison(gathered: RunComparison, folder: Path) -> Path:
    """Writes index.html, and beside it `tables` (parquet and CSV) and `figures` (SVG).  Returns the page's path."""
    _claim(folder)
    names = (
        "runs",
        "cells",
        "pairs",
        "differences",
        "curves",
        "spread",
        *(name for name in ("components", "against") if not getattr(gathered, name).is_empty()),
    )
    for name in names:
        table: pl.DataFrame = getattr(gathered, name)
        write_table(folder / "tables" / f"{name}.parquet", table)
        lists = [pl.col(name).list.join("; ") for name, kind in table.schema.items() if isinstance(kind, pl.List)]
        with atomic(folder / "tables" / f"{name}.csv") as temporary:
            table.with_columns(lists).write_csv(temporary)
    for panel in panels_of(gathered):
        save(chart(panel, {}, Clock()), folder / "figures" / f"{panel.name}.svg")
    page = folder / "index.html"
    with atomic(page) as temporary:
        temporary.write_text(render(gathered, _links(gathered, folder)), encoding="utf-8")
    return page


def panels_of(gathered: RunComparison) -> list[Panel]:
    """A figure of learning curves for whatever there is something to draw of."""
    words, several = gathered.curves.drop_nulls("words"), bool((gathered.runs["seeds"] > 1).any())
    ranges = ", and from the lowest seed to the highest" if len(gathered.labels) <= figures.BANDS else ""
    over = f"over words seen{f': means over seeds{ranges}' if several else ''}."
    says = {
        "bits_per_word": "Bits per word on held-out text",
        "accuracy": f"Accuracy, mean over the {len(gathered.paradigms)} paradigms; dashed: chance",
        **{name: f"{name}: what an instrument read" for name in gathered.outcomes},
        **{name: f"The ladder: {figures.title(name)}" for name in gathered.curves.columns if name.startswith("ladder_")},
    }

    def panel(value: str, said: str) -> Panel:
        return Panel(
            name=value.replace("_", "-"),
            title=f"{figures.title(value)} over words seen, each run a line",
            draw=lambda frames, clock, **options: figures.learning_curves(gathered.curves, value, gathered.labels, **options),
            says=lambda frames, clock: f"{said}, {over}",
            shape="curves",
        )

    found = [panel(value, said) for value, said in says.items() if known(words, value)]
    if gathered.same_text and known(gathered.curves, "bits_per_word"):
        found.append(
            Panel(
                name="laws",
                title="accuracy against loss, each run a line",
                draw=lambda frames, clock, **options: figures.accuracy_by_loss(gathered.curves, gathered.labels, **options),
                says=lambda frames, clock: (
                    "Accuracy against bits per word, at every checkpoint. Runs on one line have the same accuracy at the same "
                    "loss, and differ in how far they came; one beside it has learned other things for the same loss."
                ),
                shape="curves",
            )
        )
    return found


def render(
    gathered: RunComparison,
    links: dict[str, str] | None = None,
    frame: PageFrame = STANDALONE,
    of_paradigm: Callable[[str, str], str] = lambda run, paradigm: "",
    maps: Markup | None = None,
) -> str:
    """The page as HTML; the same runs give the same page.  `links`: by run, where its own page is, seen from this one.

    `of_paradigm`: the same of a run's paradigm.  `maps`: what shows the runs' maps over one another, where something can.
    """
    charts, labels = Charts(), gathered.labels
    by_paradigm = {str(name): part.to_dicts() for (name,), part in gathered.cells.group_by("paradigm", maintain_order=True)}
    wrong = {name: [row["run"] for row in rows if row["ends_wrong"]] for name, rows in by_paradigm.items()}
    alike = sum(len({row["verdict"] for row in rows}) == 1 for rows in by_paradigm.values())
    phenomena: dict[str, dict[str, Any]] = {}
    for name, rows in by_paradigm.items():
        phenomena.setdefault((rows[0]["phenomenon"] or "").replace("_", " "), {})[name] = rows
    filters: dict[str, Callable[..., str]]
    filters = {"share": decimals, "difference": difference, "amount": amount, "bits": bits, "size": human_size}
    return frame.render(
        "comparison.html.jinja",
        Path(__file__).parent,
        {"p": probability, **filters},
        title=gathered.title,
        suite=gathered.suite,
        labels=labels,
        links=links or {},
        of_paradigm=of_paradigm,
        maps=maps,
        alone=frame is STANDALONE,
        lead=sentences.lead(gathered.suite, wrong, alike, labels),
        findings=sentences.findings(gathered.runs, gathered.pairs, same_text=gathered.same_text),
        caveat=sentences.caveat(gathered.runs, gathered.pairs, gathered.spread),
        notes=gathered.notes,
        differing=gathered.differing,
        runs=gathered.runs.to_dicts(),
        curves=[shown(panel, {}, Clock(), charts) for panel in panels_of(gathered)],
        several=bool((gathered.runs["seeds"] > 1).any()),
        phenomena=phenomena,
        counts=[name for name in GLYPHS if name in set(gathered.cells["verdict"])],
        groups=sentences.groups(wrong, labels),
        sets=_sets(gathered),
        agreement=_alike(gathered, "agreement", lambda row: (decimals(row["kappa"], 2), row["kappa"], "")),
        order=_alike(gathered, "rho", lambda row: ("", None, f"{decimals(row['rho_low'], 2)} to {decimals(row['rho_high'], 2)}")),
        pairs=gathered.pairs.to_dicts(),
        differences=_differences(gathered),
        telling=sentences.telling(gathered.differences),
        spread=gathered.spread.to_dicts(),
        against={str(name): part.to_dicts() for (name,), part in gathered.against.group_by("paradigm", maintain_order=True)},
        against_says=says(gathered.against),
        meanings=MEANINGS,
        glyphs=GLYPHS,
        made=[_origin(read, gathered.suite) for read in gathered.reads],
        **look(),
        **drawn(charts),
    )


def _links(gathered: RunComparison, folder: Path) -> dict[str, str]:
    """By run, its own page as a relative link: only from a folder near to it, so that the link names nothing of the machine."""
    base = folder.resolve().parent
    pages = {read.label: read.folder.report.resolve() for read in gathered.reads}
    near = {label: page for label, page in pages.items() if page.exists() and page.is_relative_to(base)}
    return {label: quote(f"../{page.relative_to(base).as_posix()}") for label, page in near.items()}


def overview(gathered: RunComparison) -> tuple[list[str], list[list[str]]]:
    """Headers and rows for the terminal: a run each; a header that begins with > stands above figures."""
    headers = ["run", ">parameters", ">bits per word", ">accuracy", ">end wrong", ">tokens/s", "verdicts"]
    rows = []
    for row in gathered.runs.to_dicts():
        verdicts = ", ".join(f"{row[name]} {name}" for name in GLYPHS if row[name])
        verdicts += "" if row["firm"] is None else f"; {row['firm']} of all firm"
        sizes = amount(row["parameters"]), bits(row), decimals(row["accuracy"]), str(row["ends_wrong"])
        rows.append([row["run"], *sizes, amount(row["tokens_per_second"]), verdicts])
    return headers, rows


# --- how numbers are written --------------------------------------------------------------------------------------


def amount(number: float | None, said: Callable[[Any], str] = human) -> str:
    """1.45M, or that it is not known."""
    return said(number) if number else "not known"


def bits(row: Mapping[str, Any]) -> str:
    """Bits per word of a run, with a star where unknown words make them too low; or why there are none."""
    if row["bits_per_word"] is not None:
        return f"{row['bits_per_word']:.3f}{' *' if row['dev_unknown'] else ''}"
    return "not comparable" if row["dev_loss"] is not None and not row["next_token"] else "not known"


# --- parts of the page --------------------------------------------------------------------------------------------

Cell = tuple[str, float | None, str]  # text, share of the colour, small text
Row = Mapping[str, Any]


def _matrix(gathered: RunComparison, below: Callable[[Row], Cell], above: Callable[[Row], Cell], own: Callable[[str], Cell]) -> Any:
    """Each run with its cells, from the row of the two runs `below` and `above` the diagonal, and of its `own` on it."""
    pairs = {(row["first"], row["second"]): row for row in gathered.pairs.to_dicts()}
    labels = gathered.labels

    def cell(one: str, other: str) -> Cell:
        if one == other:
            return own(one)
        return above(pairs[one, other]) if (one, other) in pairs else below(pairs[other, one])

    return [(one, [cell(one, other) for other in labels]) for one in labels]


def _alike(gathered: RunComparison, column: str, above: Callable[[Row], Cell]) -> Any:
    """How far runs are alike: `column` below, two seeds of one run on the diagonal."""
    inside = dict(gathered.spread.select("run", column).iter_rows())

    def own(run: str) -> Cell:
        return decimals(inside.get(run), 2), None, "" if inside.get(run) is None else "seeds"

    return _matrix(gathered, lambda row: (decimals(row[column], 2), row[column], ""), above, own)


def _ends(row: Row) -> Cell:
    return "", None, f"{decimals(row['rho_low'], 2)} to {decimals(row['rho_high'], 2)}"


def _differences(gathered: RunComparison) -> dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]]:
    """By paradigm, the first run minus each other, and where that and its interval lie between the widest and none, in percent;
    and the runs whose seeds disagree, with what each says."""
    table = gathered.differences
    ends = {"left": "difference_low", "at": "difference", "right": "difference_high"}
    widest = table.select(pl.max_horizontal(pl.col(*ends.values()).abs().max())).item() or 1.0
    rows = table.with_columns(**{place: 50 + 50 * pl.col(name) / widest for place, name in ends.items()})
    split: dict[str, list[tuple[str, str]]] = {name: [] for name in gathered.paradigms}
    for run, name, seeds in gathered.cells.select("run", "paradigm", "seed_verdicts").iter_rows():
        if len(set(seeds)) > 1:
            split[name].append((run, ", ".join(f"{number} {verdict}" for verdict, number in Counter(seeds).most_common())))
    return {name: (rows.filter(paradigm=name).to_dicts(), own) for name, own in split.items()}


def _sets(gathered: RunComparison) -> Any:
    """How many end wrong in both below, with what chance gives; Jaccard above; how many in the run itself on the diagonal."""
    size = dict(gathered.runs.select("run", "ends_wrong").iter_rows())
    return _matrix(
        gathered,
        lambda row: (str(row["both"]), None, f"chance {row['expected']:.1f}"),
        lambda row: (decimals(row["jaccard"], 2), row["jaccard"], ""),
        lambda run: (str(size[run]), None, ""),
    )


def _origin(read: ComparedRun, suite: str) -> dict[str, Any]:
    """How a run was made, in a row; the whole of it stands on the run's own page."""
    of_weights, section = weights(read, suite), read.results.section
    versions, engine, hardware = (section(name) or {} for name in ("versions", "engine", "hardware"))
    return {
        "run": read.label,
        "folder": read.folder.name,
        "recipe": file_hash(read.folder.recipe)[:16],
        "pairs": str(section("suites", suite, "key") or "not kept"),
        "weights": of_weights[:16] if of_weights else "not kept",
        "begun": str(section("created") or "not known"),
        "versions": ", ".join(f"{name} {versions[name]}" for name in ("ontogeny", "torch", "transformers") if name in versions),
        "hardware": text([part for part in (hardware.get("processor"), *(hardware.get("gpus") or [])) if part]),
        "engine": text({name: value for name, value in engine.items() if value is not None}),
    }
