"""What a network becomes that learns from tables, and teachers that do not fit."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import tiny
import torch
from torch import nn

from ontogeny import recipe as recipes
from ontogeny.interventions.distil import Distil, Distilled
from ontogeny.records import Document, OntogenyError
from ontogeny.tokens.trained import WordTokenizer
from ontogeny.training.treatment import batch_loss

TABLES = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0))
ROWS = torch.tensor([[a, b] for a in range(4) for b in range(4)])


class Table(nn.Module):
    def __init__(self, logits=None):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(4, 4) if logits is None else logits.clone())

    def forward(self, input_ids, use_cache=False):
        return SimpleNamespace(logits=self.logits[input_ids])


def teachers(*tables):
    return [lambda inputs, table=table: table[inputs] for table in tables]


def learned(loss):
    """The probabilities that a table comes to."""
    table = Table()
    optimiser = torch.optim.LBFGS(table.parameters(), max_iter=200)

    def closure():
        optimiser.zero_grad()
        found = loss(table, ROWS, nullcontext)
        found.backward()
        return found

    optimiser.step(closure)
    return table.logits.softmax(-1), float(closure())


def test_a_single_teacher_is_learned_whole():
    found, left = learned(Distilled(teachers(TABLES[0]), 1.0))
    assert torch.allclose(found, TABLES[0].softmax(-1), atol=1e-3) and left == pytest.approx(0, abs=1e-4)


def test_of_two_teachers_the_mean():
    found, _ = learned(Distilled(teachers(*TABLES), 1.0))
    assert torch.allclose(found, TABLES.softmax(-1).mean(0), atol=1e-3)


def test_half_a_teacher_is_a_mixture_with_the_text():
    """In the rows every token follows every token once."""
    found, _ = learned(Distilled(teachers(TABLES[0]), 0.5))
    assert torch.allclose(found, (TABLES[0].softmax(-1) + 0.25) / 2, atol=1e-3)


def test_rows_that_end_early_count_as_far_as_they_go():
    loss = Distilled(teachers(TABLES[0]), 0.3, temperature=2.0)
    short, cut = torch.tensor([[0, 1]]), torch.tensor([[0, 1, -100, -100]])
    assert float(loss(Table(TABLES[1]), cut, nullcontext)) == pytest.approx(float(loss(Table(TABLES[1]), short, nullcontext)))


def test_share_0_is_the_plain_loss_and_asks_no_teacher(context_of):
    assert Distil(teachers=("nowhere",), share=0).loss(context_of(["x y"])) is batch_loss


def test_a_teacher_with_another_tokenizer_is_refused(context_of, tmp_path):
    WordTokenizer().make([Document("x z", "test", 1)]).save_pretrained(tmp_path / "teacher")
    with pytest.raises(OntogenyError, match=r"than the text: 'y' is token \d+ of the text's and no token of the model's"):
        Distil(teachers=(tmp_path / "teacher",)).loss(context_of(["x y"]))


def test_a_recipe_says_it():
    part = recipes.parse(tiny.RECIPE + "interventions: [{kind: distil, teachers: [a, b], temperature: 2}]").interventions[0]
    assert part == Distil(teachers=("a", "b"), temperature=2)
