"""The recorder of the optimiser's health: known on a quadratic, silent about a training that it watches, the same after a kill."""

import numpy as np
import pytest
import tiny
import torch

from ontogeny.laboratory import Run
from ontogeny.recipe import Training
from ontogeny.report.page import render
from ontogeny.results import Results
from ontogeny.training import health
from ontogeny.training.health import spikes
from ontogeny.training.state import TrainingState


def on_a_quadratic(every=1, steps=3, rate=0.1):
    """AdamW without decay on half of |x|^2, from (3, -4)."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([[3.0, -4.0]])
    state = TrainingState(model, Training(health=every, weight_decay=0, betas=(0.0, 0.0), clip=0, schedule="constant"))
    for _ in range(steps):
        state.optimiser_step(rate)
        loss = (model.weight**2).sum() / 2
        loss.backward()
        norm = state.clip_and_update(0, loss.item())
        state.record(loss.item(), norm, 1, 1.0, 0.0)
    return state


def test_on_a_quadratic_all_is_known():
    rows = [dict(zip(health.COLUMNS, row, strict=True)) for row in on_a_quadratic().health.rows]
    first = rows[0]  # without memory a step is the sign of the gradient times the rate: (3, -4) goes to (2.9, -3.9)
    assert first["update"] == pytest.approx(np.log10(np.hypot(0.1, 0.1) / 5), abs=1e-5)
    assert first["agreement"] == pytest.approx((3 + 4) / (np.sqrt(2) * 5), abs=1e-5)
    assert (first["saturated"], first["gradient"]) == (1.0, pytest.approx(1.0))
    assert [row["tensor"] for row in rows] == [0, health.WHOLE] * 3 and rows[1]["clipped"] == 0
    assert [row[0] for row in on_a_quadratic(every=2, steps=5).health.rows] == [2, 2, 4, 4]


def test_one_planted_bad_batch_is_one_spike():
    losses = 3 + 0.01 * np.random.default_rng(0).normal(size=300)
    assert spikes(losses, 200) == 0
    losses[250] = 3.5
    assert spikes(losses, 200) == 1 and spikes(losses, 40) == 0 and spikes(losses[:50], 50) == 0


def test_it_changes_no_loss_and_goes_on_after_a_kill_with_the_same_rows(tmp_path):
    plain, watched, killed = (
        Run.begin(tiny.recipe(f"name={name}", f"training.health={every}", "seeds=[0]", "scoring.live=false"), tmp_path)
        for name, every in (("plain", 0), ("watched", 5), ("killed", 5))
    )
    for run in (plain, watched):
        run.train()
    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "record", _killed_at(13, TrainingState.record))
        killed.train()
    killed.train()
    own = [run.losses().drop("seconds") for run in (plain, watched, killed)]
    assert own[0].equals(own[1]) and own[1].equals(own[2])
    assert plain.results.health is None and not plain.folder.health(0).exists()
    found = watched.results.health
    assert found.equals(killed.results.health)
    whole = found.filter(tensor="")
    assert whole["step"].to_list() == [5, 10, 15, 20] and whole["spikes"].to_list() == [0.0] * 4
    assert found["tensor"].n_unique() == 1 + len(dict(tiny_names(watched)))
    page = render(Results(watched.folder))
    assert "how the optimiser did" in page and "The gradient was clipped in" in page


def _killed_at(step, record):
    def kill(state, *args):
        record(state, *args)
        if state.step == step:
            raise KeyboardInterrupt

    return kill


def tiny_names(run):
    from ontogeny.scoring.reading import open_model

    return open_model(run.folder.checkpoint(0, 0)).named_parameters()


def test_health_may_be_switched_on_for_a_run_that_is_there(tmp_path):
    Run.begin(tiny.recipe("training.steps=4", "checkpoints.steps=[1, 2]", "seeds=[0]", "scoring.live=false"), tmp_path).train()
    again = tiny.recipe("training.steps=4", "checkpoints.steps=[1, 2]", "seeds=[0]", "scoring.live=false", "training.health=1")
    Run.begin(again, tmp_path).train()  # no other training
