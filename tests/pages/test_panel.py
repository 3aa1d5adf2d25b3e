"""Of more checkpoints than a browser can draw, figures show some, and say so."""

import numpy as np
import polars as pl

from ontogeny.pages import panel
from ontogeny.pages.curves import means_by_verdict


def test_a_figure_draws_some_of_thousands_of_checkpoints_and_says_so():
    steps = [3 * i for i in range(2_001)]
    frames = {
        "curves": pl.DataFrame({"step": steps * 2, "seed": [0] * 2_001 + [1] * 2_001}),
        "losses": pl.DataFrame({"step": range(5_000)}),
        "some.onset": pl.DataFrame({"step": range(900)}),
        "verdicts": pl.DataFrame({"paradigm": ["a"]}),
    }
    cut, said = panel.sampled(frames)
    kept = cut["curves"].filter(seed=1)["step"].to_list()
    assert len(kept) == panel.DRAWN and (kept[0], kept[-1]) == (0, 6_000) and set(kept) <= set(steps)
    assert set(np.diff(kept)) == {15, 18}  # every fifth, or the sixth
    assert all(cut[name] is frames[name] for name in ("losses", "some.onset", "verdicts"))
    assert said.startswith(f"Drawn are {panel.DRAWN} of 2,001 checkpoints")
    one = panel.Panel(name="one", needs=("curves",), draw=lambda frames, clock: len(frames["curves"]))
    assert panel.chart(one, frames, panel.Clock()) == 2 * panel.DRAWN


def test_a_figure_draws_all_of_some_hundred_checkpoints():
    frames = {"curves": pl.DataFrame({"step": range(panel.DRAWN)})}
    assert panel.sampled(frames) == (frames, "")


def test_means_by_verdict_are_over_the_paradigms_that_have_one():
    read = pl.DataFrame({"paradigm": ["a", "b", "c", "d"], "know": [0.5, 1.0, None, 0.25]})
    verdicts = pl.DataFrame({"paradigm": ["a", "b", "c"], "verdict": ["learned", "learned", "entrenched"]})
    found = means_by_verdict(read, {"verdicts": verdicts}, ("verdict", ">paradigms", ">know"))
    assert found == panel.Tabulated(("verdict", ">paradigms", ">know"), (("entrenched", "1", ""), ("learned", "2", "0.75")))
    assert means_by_verdict(read, {}, ("verdict",)) is None
