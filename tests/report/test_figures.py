"""Figures: what they draw, what they refuse, and the files they are saved as."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from synthetic_run import curves_of, losses_of, paradigm_names, verdicts_of

from ontogeny.display import visible
from ontogeny.pages import embed
from ontogeny.pages.axes import save, span_rows, step_ticks, taken_apart
from ontogeny.pages.panel import Clock, chart
from ontogeny.pages.theme import DARK, LIGHT, VERDICT_COLOURS
from ontogeny.records import OntogenyError
from ontogeny.report.accuracy import overall_accuracy, trajectory
from ontogeny.report.likelihood import likelihood, likelihoods
from ontogeny.report.panels import BUILT_IN
from ontogeny.report.paradigm_map import accuracy_map, window_of
from ontogeny.report.training import loss_curve, thinned

SPANS = pl.DataFrame(
    {
        "window": ["untrained", "early", "late", "warm-up"],
        "start": [0.0, 256, 5280, 0],
        "end": [256.0, 660, 6600, 330],
    }
)
CURVES = curves_of(paradigm_names(6))
ONE = CURVES.filter(pl.col("paradigm") == CURVES["paradigm"][0])


def text(chart: Any) -> str:
    spec, tables = taken_apart(chart)
    return json.dumps([spec, tables])


def test_the_map_has_a_cell_for_every_paradigm_and_checkpoint_and_every_verdict() -> None:
    verdicts = verdicts_of(CURVES)
    _, tables = taken_apart(accuracy_map(CURVES, verdicts, SPANS))
    assert {(row["paradigm"], row["step"]) for row in tables["cells"]} == set(
        CURVES.select("paradigm", "step").unique().iter_rows()
    )
    first = next(row for row in tables["cells"] if row["step"] == 6600)
    both = CURVES.filter((pl.col("paradigm") == first["paradigm"]) & (pl.col("step") == 6600))
    assert first["accuracy"] == pytest.approx(both["accuracy"].mean())
    assert {row["window"] for row in tables["cells"]} == {"untrained", "early", "middle", "late"}
    words = next(rows for rows in tables.values() if rows and set(rows[0]) == {"paradigm", "verdict", "sure"})
    assert dict(verdicts.select("paradigm", "verdict").iter_rows()) == {r["paradigm"]: r["verdict"] for r in words}


def test_windows_of_steps() -> None:
    steps = pl.DataFrame({"step": [0, 255, 256, 660, 661, 5279, 5280, 6600]})
    expected = ["untrained", "untrained", "early", "early", "middle", "middle", "late", "late"]
    assert steps.select(window_of(pl.col("step"), SPANS)).to_series().to_list() == expected
    assert set(steps.select(window_of(pl.col("step"), None)).to_series()) == {"middle"}


def test_a_trajectory_without_interval_length_or_seed_is_drawn() -> None:
    bare = ONE.filter(pl.col("seed") == 0).select("step", "accuracy")
    _, tables = taken_apart(trajectory(bare))
    assert set(tables["curve"][0]) == {"seed", "step", "accuracy"}
    wide = bare.with_columns(low=pl.col("accuracy") - 0.02, high=pl.col("accuracy") + 0.02)
    _, tables = taken_apart(trajectory(wide, SPANS, (0.447, 0.553)))
    assert {"low", "high"} <= set(tables["curve"][0])
    assert tables["band"] == [{"lo": 0.447, "hi": 0.553, "chance": 0.5}]


def test_likelihood_has_both_sides_at_every_step() -> None:
    _, tables = taken_apart(likelihood(ONE))
    assert len(tables["curve"]) == 2 * len(ONE)
    assert {row["sentences"] for row in tables["curve"]} == {"good", "bad"}


def test_axes_say_their_units() -> None:
    panel = next(panel for panel in BUILT_IN if panel.name == "training")
    training = chart(panel, {"losses": losses_of(0, 700)}, Clock(last=700, spans=SPANS, entropy=6.1))
    assert "vconcat" in training.to_dict(validate=False)  # one above the other, on axes of steps that are alike
    assert "nats per token" in text(training) and "learning rate" in text(training)
    assert "unigram entropy" in text(training) and "end of warm-up" in text(training)
    assert "(nats)" in text(likelihood(ONE))
    for one in (training, likelihood(ONE), trajectory(ONE), overall_accuracy(CURVES)):
        assert "step (log scale)" in text(one)


def test_a_single_checkpoint_can_be_drawn(tmp_path: Path) -> None:
    last = CURVES.filter(pl.col("step") == 6600)
    zero = CURVES.filter(pl.col("step") == 0)
    for name, one in {"map": accuracy_map(last), "zero": overall_accuracy(zero, SPANS)}.items():
        assert save(one, tmp_path / f"{name}.svg").stat().st_size > 1000


def test_missing_columns_and_rows_are_named() -> None:
    with pytest.raises(OntogenyError, match="needs a column 'accuracy'"):
        accuracy_map(CURVES.drop("accuracy"))
    with pytest.raises(OntogenyError, match="no rows"):
        overall_accuracy(CURVES.clear())
    with pytest.raises(OntogenyError, match="logp_good"):
        likelihoods(CURVES.drop("logp_good"))
    with pytest.raises(OntogenyError, match="nothing to draw"):
        loss_curve(None, None)


def test_files_of_every_kind(tmp_path: Path) -> None:
    one = trajectory(ONE, SPANS, (0.447, 0.553), width=300)
    png = save(one, tmp_path / "one.png", scale=1).read_bytes()
    assert png.startswith(b"\x89PNG") and len(png) > 2000
    svg = save(one, tmp_path / "one.svg").read_text(encoding="utf-8")
    fonts = set(re.findall('font-family="([^,"]*)', svg))
    assert fonts == {"'DejaVu Sans'"}  # what room is measured with is what a browser draws with, and no label is cut
    assert svg.startswith("<svg") and "accuracy" in svg and "untrained" in svg
    spec = json.loads(save(one, tmp_path / "one.json").read_text(encoding="utf-8"))
    assert len(spec["datasets"]["curve"]) == len(ONE)
    page = save(one, tmp_path / "one.html").read_text(encoding="utf-8")
    assert 'src="http' not in page
    with pytest.raises(OntogenyError, match=r"\.png, \.svg, \.html or \.json"):
        save(one, tmp_path / "one.gif")


def test_small_multiples_name_every_paradigm(tmp_path: Path) -> None:
    svg = save(likelihoods(CURVES), tmp_path / "l.svg").read_text(encoding="utf-8")
    assert all(name in svg for name in CURVES["paradigm"])


def test_thinning_keeps_few_points_and_the_mean() -> None:
    steep = pl.DataFrame({"seed": 0, "step": range(1, 100_001), "loss": 2.0})
    thin = thinned(steep, "loss", points=50)
    assert len(thin) <= 51
    assert set(thin["loss"]) == {2.0}


def test_ticks_and_names_of_windows() -> None:
    assert step_ticks(0) == [0, 1]
    assert step_ticks(20) == [0, 1, 2, 4, 8, 16]
    assert step_ticks(1000) == [0, 1, 10, 100, 1000]
    assert step_ticks(6600) == [0, 1, 10, 100, 1000]
    named = {row["window"]: row["name"] for row in span_rows(SPANS, 6600)}
    assert named == {"untrained": "untrained", "early": "early", "late": "late"}
    assert span_rows(None, 6600) == [] == span_rows(SPANS, 0)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("place", [0, 1])
def test_words_stand_out_from_the_paper(place: int) -> None:
    palette = (LIGHT, DARK)[place]
    words = [pair[place] for pair in VERDICT_COLOURS.values()] + [palette.ink, palette.quiet, palette.good]
    assert min(contrast(colour, palette.paper) for colour in words) >= 4.5  # WCAG 2.2, AA


@pytest.mark.parametrize("name", ["a\x01b", "a\0b", "a\u2028b", "a\ufffeb", "a\x1bb", "a\"'\\\\b", "</text>&amp;<script>", "\x0b"])
def test_a_figure_of_any_names_is_drawn(name: str, tmp_path: Path) -> None:
    """The renderer ends the whole process, or raises, at some of them."""
    curves = ONE.with_columns(paradigm=pl.lit(name), phenomenon=pl.lit(name))
    drawn = accuracy_map(curves, verdicts_of(curves))
    path = save(drawn, tmp_path / "map.svg")
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert json.dumps(visible(name))[1:-1] in text(drawn)


def test_the_script_of_pages_is_bundled_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = []
    monkeypatch.setattr(embed.vl_convert, "javascript_bundle", lambda *asked: bundled.append(asked) or "vega();")
    (tmp_path / "no folder").touch()
    for place, so_far in ((tmp_path / "caches", 1), (tmp_path / "caches", 1), (tmp_path / "no folder", 2)):
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        embed.bundle.cache_clear()
        assert (embed.bundle(), len(bundled)) == ("vega();", so_far)
    embed.bundle.cache_clear()
