"""What all figures share: rows, the axis of steps, the shaded windows of training, and files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from ontogeny.disk import atomic
from ontogeny.display import visible
from ontogeny.pages.theme import FONT, LIGHT, VERDICT_COLOURS, config
from ontogeny.records import OntogenyError

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
WIDTH = 640  # pixels; the page asks for "container" instead
Width = int | str

# how dark a window is drawn behind a curve
SHADES = {"untrained": 0.14, "early": 0.07, "late": 0.07}
LABELLED = {
    "untrained": 0.18,
    "early": 0.09,
    "late": 0.0,
}  # a name is written where the window is this share of the axis


DRAWING = "_ontogeny_drawing"  # attribute of a chart: what it is without its tables

Rows = list[dict[str, Any]]
Tables = dict[str, Rows]


def rows(frame: pl.DataFrame) -> Rows:
    """A frame as a table of a chart, its floats rounded to six digits so that pages stay small."""
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    return frame.with_columns(pl.col(floats).fill_nan(None).round_sig_figs(6)).to_dicts()


def table(name: str) -> alt.Chart:
    """A chart that draws from the table `name`, which `filled` gives it."""
    return alt.Chart(alt.NamedData(name=name))


def filled(drawing: alt.Chart, tables: Tables) -> alt.Chart:
    """The drawing with its tables.  It remembers the drawing, so that a page writes down what many charts share only once."""
    chart = copy(drawing)  # and not its own `copy`, which makes it anew, at the price of drawing it
    chart.__dict__.update(_kwds={**drawing._kwds, "datasets": tables}, **{DRAWING: drawing})
    return chart


def beside(*panels: alt.Chart, stacked: bool = False) -> alt.HConcatChart | alt.VConcatChart:
    """Panels in a row, or one above the other; each keeps tables of its own."""
    tables: Tables = {}
    apart = []
    for place, panel in enumerate(panels):
        chart, own = panel.copy(), panel._get("datasets")
        tables |= {f"{name}{place}": rows for name, rows in ({} if own is alt.Undefined else own).items()}
        chart.datasets = alt.Undefined
        for layer in (chart, *getattr(chart, "layer", ())):
            if isinstance(layer.data, alt.NamedData):
                layer.data = alt.NamedData(name=f"{layer.data.name}{place}")
        apart.append(chart)
    joined = alt.vconcat(*apart, spacing=12) if stacked else alt.hconcat(*apart, spacing=24)
    joined.datasets = tables
    return joined


FORMATS = {
    "step": ",d",
    "start": ",.0f",
    "end": ",.0f",
    "words": ",.0f",
    "tokens": ",.0f",
    "seeds": "d",
    "seed": "d",
    "change": "+.3f",
    "mean(nats)": ".2f",
    "order": "d",
    "closest order": "d",
    "n": ",d",
    "pairs": ",d",
    **dict.fromkeys(("r", "mean(r)", "rho", "beta", "mean(beta)", "r2", "mean(r2)", "kl", "mean(kl)"), ".2f"),
    **dict.fromkeys(("accuracy", "mean(accuracy)", "loss", "bigram accuracy", "final accuracy"), ".3f"),
    **dict.fromkeys(("auc", "mean", "low", "high", "difference"), ".3f"),
}  # of numbers in tooltips; any other column is a name


def tips(*names: str, **formats: str) -> list[Any]:
    """Tooltips of these columns; `formats`: of numbers that are called otherwise everywhere else."""
    known = FORMATS | formats
    return [alt.Tooltip(f"{name}:Q", format=known[name]) if name in known else alt.Tooltip(f"{name}:N") for name in names]


def share_axis() -> Any:
    """The axis of accuracies and other shares."""
    return alt.Axis(format=".2~f", values=[0, 0.25, 0.5, 0.75, 1], grid=True)


def dashed(at: float, thick: float = 0.8) -> Any:
    """A dashed line, of chance or of nothing, at the value in its column `at`."""
    return alt.Chart(alt.InlineData(values=[{"at": at}])).mark_rule(strokeDash=[4, 3], strokeWidth=thick)


def verdict_colour(there: Iterable[str] = (), columns: int = 3) -> Any:
    """The colours of verdicts, with a legend of those that are there; without one where none is named."""
    there = set(there)
    present = [name for name in VERDICT_COLOURS if name in there]
    legend = alt.Legend(title=None, orient="top", columns=columns, values=present, symbolOpacity=1) if present else None
    return alt.Color("verdict:N", scale=alt.Scale(domain=list(VERDICT_COLOURS), range="category"), legend=legend)


def step_ticks(last: int) -> list[int]:
    """Ticks of a log axis that begins at 0: 0, 1, 10, 100 ... up to `last`, or powers of two in a short training."""
    base = 10 if last >= 200 else 2
    return [0, *(base**power for power in range(int(math.log(max(last, 1), base) + 1e-9) + 1))]


def step_scale(last: int) -> Any:
    """log(1 + step), from 0 to the last step."""
    return alt.Scale(type="symlog", constant=1, domain=[0, max(last, 1)], nice=False)


def step_axis(last: int, field: str = "step:Q") -> Any:
    """The x axis of every curve: log(1 + step), so that the untrained model at step 0 has a place."""
    return alt.X(
        field,
        scale=step_scale(last),
        axis=alt.Axis(values=step_ticks(last), labelExpr="format(datum.value, '~s')", title="step (log scale)", grid=False),
    )


def taken_apart(chart: alt.Chart) -> tuple[dict[str, Any], Tables]:
    """A chart's specification without schema and config, and its tables, as they can be drawn."""
    bare = chart.copy(deep=False)
    bare.datasets = alt.Undefined
    spec = bare.to_dict(validate=False)
    own = chart._get("datasets")
    tables = {**spec.pop("datasets", {}), **({} if own is alt.Undefined else own)}
    return legible({name: value for name, value in spec.items() if name not in ("$schema", "config")}), legible(tables)


def legible(value: Any) -> Any:
    """The same with all text as `visible` has it: the renderer ends the whole process at a control character in a name."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(name): entry if isinstance(entry, int | float) else legible(entry) for name, entry in value.items()}
    return [legible(entry) for entry in value] if isinstance(value, list) else value


def span_rows(spans: pl.DataFrame | None, last: int) -> Rows:
    """The table `spans` of `shading`: the untrained, early and late windows, named where there is room for it."""
    if spans is None or last < 1:
        return []
    kept = spans.filter(pl.col("window").is_in(list(SHADES)) & (pl.col("start") < last))
    kept = kept.with_columns(pl.col("end").clip(upper_bound=last))
    share = (pl.col("end").log1p() - pl.col("start").log1p()) / math.log1p(last)
    wide = share >= pl.col("window").replace_strict(LABELLED, return_dtype=pl.Float64)
    shade = pl.col("window").replace_strict(SHADES, return_dtype=pl.Float64)
    return rows(kept.with_columns(name=pl.when(wide).then("window").otherwise(pl.lit("")), shade=shade))


def shading(last: int) -> list[Any]:
    """Layers that shade the windows in the table `spans` (see `span_rows`) and name them above the plot."""
    base = table("spans")
    bands = base.mark_rect(clip=True).encode(
        x=step_axis(last, "start:Q"),
        x2=alt.X2("end:Q"),
        opacity=alt.Opacity("shade:Q", scale=None),
        tooltip=tips("window", "start", "end"),
    )
    style = {"baseline": "bottom", "dy": -3, "fontSize": 9}
    early = base.transform_filter("datum.window != 'late'").mark_text(align="left", dx=1, **style)
    late = base.transform_filter("datum.window == 'late'").mark_text(align="right", **style)
    text, top = alt.Text("name:N"), alt.YValue(0)
    return [
        bands,
        early.encode(x=step_axis(last, "start:Q"), y=top, text=text),
        late.encode(x=step_axis(last, "end:Q"), y=top, text=text),
    ]


def last_step(*frames: pl.DataFrame | None) -> int:
    """The last step of any of the frames; 0 where there is none."""
    return max((int(frame["step"].max()) for frame in frames if frame is not None and len(frame)), default=0)  # type: ignore[arg-type]


def seeded(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with a column seed, 0 where it has none."""
    return frame if "seed" in frame.columns else frame.with_columns(seed=pl.lit(0))


def need(frame: pl.DataFrame, columns: Iterable[str], figure: str) -> None:
    """Raises OntogenyError naming the first column that a figure needs and does not find, or that there are no rows."""
    for column in columns:
        if column not in frame.columns:
            raise OntogenyError(f"{figure} needs a column {column!r}; there are: {', '.join(frame.columns)}")
    if frame.is_empty():
        raise OntogenyError(f"{figure} has nothing to draw: the frame has no rows")


def known(frame: pl.DataFrame, *columns: str) -> bool:
    """Whether the frame has these columns with a value in each."""
    return all(column in frame.columns and frame[column].drop_nulls().drop_nans().len() > 0 for column in columns)


WIDE = f"'DejaVu Sans', {FONT}"  # of an SVG, whose room is measured here and whose text is drawn elsewhere: the widest that comes


def save(chart: Any, path: Path | str, scale: float = 2.0) -> Path:
    """Writes a chart to `path`, whole or not at all, with no network: .png, .svg, .html or .json by its ending.

    `scale` is the PNG's resolution.  Raises OntogenyError for any other ending.
    """
    path = Path(path)
    spec = themed(chart)
    if path.suffix == ".png":
        content = vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=scale)
    elif path.suffix == ".svg":
        spec["config"]["font"] = WIDE
        content = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE).encode()
    elif path.suffix == ".html":
        content = vl_convert.vegalite_to_html(spec, vl_version=VEGA_LITE, bundle=True).encode()
    elif path.suffix == ".json":
        content = json.dumps(spec, indent=1).encode()
    else:
        raise OntogenyError(f"{path}: figures are written as .png, .svg, .html or .json, not {path.suffix or 'without an ending'}")
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return path


def themed(chart: alt.Chart) -> dict[str, Any]:
    """The chart's Vega-Lite specification with the light theme on white paper."""
    spec, tables = taken_apart(chart)
    theme = {**config(LIGHT), "background": LIGHT.paper}
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE}.json",
        **spec,
        "datasets": tables,
        "config": theme,
    }
