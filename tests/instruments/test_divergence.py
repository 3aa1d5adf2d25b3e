"""Divergence of seeds: by hand for two distributions, by definition for two models, and said where another seed is not there."""

import numpy as np
import pytest
import tiny
import torch

from ontogeny.instruments.divergence import Divergence, kl
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.scoring.reading import open_model


def test_the_divergence_of_two_coins():
    p, q = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    assert kl(p, q) == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)) and kl(p, p) == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    found = Run.begin(
        tiny.recipe("seeds=[0, 1]", "training.steps=2", "checkpoints.steps=[1]", "scoring.live=false"),
        tmp_path_factory.mktemp("runs"),
    )
    found.train()
    return found


def test_every_two_seeds_are_read_once_as_by_definition(run):
    run.read(["divergence"])
    table = run.reading("divergence").collect()
    assert table.select("seed", "step", "other").rows() == [(seed, step, 0) for seed in (0, 1) for step in (0, 1, 2)]
    assert table.filter(seed=0)["kl"].to_list() == [0, 0, 0]
    rows = torch.tensor(_sample(run))
    logps = [open_model(run.folder.checkpoint(seed, 2))(input_ids=rows[:, :-1]).logits.log_softmax(-1) for seed in (1, 0)]
    expected = (logps[0].exp() * (logps[0] - logps[1])).sum(-1).mean().item()
    assert table["kl"][-1] == pytest.approx(expected, rel=1e-4) and (table.filter(seed=1)["kl"] > 0).all()
    course = run.fold("divergence")["course"]
    assert course["step"].to_list() == [0, 1, 2] and course["pairs"].to_list() == [1, 1, 1]


def _sample(run):
    from ontogeny.instruments.subject import Subject
    from ontogeny.scoring.reading import OpenedCheckpoint

    readings, checkpoint = run.readings, run.folder.checkpoints(0)[0]
    return Subject(readings.context, 0, checkpoint, OpenedCheckpoint(checkpoint.folder, readings.reader.device)).sample(2048)


def test_a_seed_that_is_not_there_yet_is_named(run):
    (run.folder.checkpoint(0, 1)).rename(run.folder.path / "away")
    try:
        with pytest.raises(OntogenyError, match="seed 0 has no checkpoint at step 1, which seed 1 is held against"):
            run.read([Divergence(tokens=128).model_dump()])
    finally:
        (run.folder.path / "away").rename(run.folder.checkpoint(0, 1))
