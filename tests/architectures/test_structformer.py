"""StructFormer: trees on paper, sums over all constituents one by one, a tree that learns, and a causal one that sees no future."""

from contextlib import nullcontext

import pytest
import torch
from test_every_kind import build, sharpen
from transformers import AutoModel, AutoModelForMaskedLM

from ontogeny.architectures import auto
from ontogeny.architectures.models.structformer import FAR, SoftTree, margins
from ontogeny.architectures.structformer import StructFormer

STEEP = torch.tensor([1.7, 1.3])
SHARP = torch.tensor([60.0, 8.0])
#         the  dog  sees  a   cat
HEIGHT = [2.0, 4.0, 5.0, 2.0, 4.0]
DISTANCE = [1.0, 3.0, 3.0, 1.0, 0.0]  # of each to the next


def drawn(seed, length=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, length, generator=generator) * 2, torch.randn(2, length, generator=generator)


def edges(distance, height, causal=False, shown=None, steep=STEEP):
    return SoftTree.of(distance, height, steep, causal, shown)


def lowered(distance, height):
    """Distances of one text less the least amount that lets each part but the whole reach beyond itself."""
    n = len(height)
    bounds = [FAR, *distance[: n - 1], FAR]
    spans = [(a, b) for a in range(n) for b in range(a, n) if (a, b) != (0, n - 1)]
    amount = max([0.0, *(min(bounds[a], bounds[b + 1]) - max(height[a : b + 1]) for a, b in spans)])
    return [d - amount for d in distance[: n - 1]]


def by_constituents(distance, height):
    """p_D of one text: a sum over every left and right edge (Shen et al. 2021, section 4.2)."""
    n, found = len(height), torch.zeros(len(height), len(height))
    distance = lowered(distance, height)

    def reaches(i, inside):
        return 1.0 if not inside else torch.sigmoid(torch.tensor((height[i] - max(inside)) * STEEP[0].item())).item()

    for i in range(n):
        for left in range(i + 1):
            on = reaches(i, distance[left - 1 : i]) if left else 0.0
            p_left = reaches(i, distance[left:i]) - on
            for right in range(i, n):
                on = reaches(i, distance[i : right + 1]) if right < n - 1 else 0.0
                p_right = reaches(i, distance[i:right]) - on
                heads = (torch.tensor(height[left : right + 1]) * STEEP[1]).softmax(0)
                found[i, left : right + 1] += p_left * p_right * heads
    return found.fill_diagonal_(0)


def test_a_tree_on_paper():
    """Each word's constituent reaches as far as distances are below its height, and its highest word is the parent."""
    found = edges(torch.tensor([DISTANCE]), torch.tensor([HEIGHT]), steep=SHARP).parents()[0]
    assert found.argmax(1)[[0, 1, 3, 4]].tolist() == [1, 2, 4, 2]  # the <- dog <- sees -> cat -> a
    assert found[[0, 1, 3, 4], [1, 2, 4, 2]] == pytest.approx([1.0] * 4, abs=1e-3)
    assert found[2].sum().item() == pytest.approx(0, abs=1e-2)  # sees is the highest of all: it has no parent


def test_so_far_a_word_hangs_on_what_has_been_read():
    """Where "a" is the last word, its one edge is just low enough to be reached across: it hangs on "sees" by half."""
    found = edges(torch.tensor([DISTANCE]), torch.tensor([HEIGHT]), causal=True, steep=SHARP).so_far()
    assert found.parent[0].sum(1) == pytest.approx([0, 0, 0, 0.5, 1], abs=1e-2)
    assert found.parent[0, 3:].argmax(1).tolist() == [2, 2]
    children = [[0] * 5, [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0] * 5, [0, 0, 0, 0.5, 0]]
    assert torch.allclose(found.child[0], torch.tensor(children), atol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_three_products_of_matrices_are_the_sum_over_all_constituents(seed):
    distance, height = drawn(seed)
    found = edges(distance, height).parents()
    for row in range(2):
        expected = by_constituents(distance[row].tolist(), height[row].tolist())
        assert torch.allclose(found[row], expected, atol=1e-5)
    assert (found.sum(-1) <= 1 + 1e-5).all()


@pytest.mark.parametrize("seed", range(3))
def test_what_a_token_hangs_on_so_far_is_its_parent_in_the_text_that_ends_with_it(seed):
    distance, height = drawn(seed)
    found = edges(distance, height, causal=True).so_far()
    for end in range(1, 7):
        text = edges(distance[:, :end], height[:, :end]).parents()
        assert torch.allclose(found.parent[:, end - 1, :end], text[:, end - 1], atol=1e-6)
    flat = torch.zeros_like(distance) - 9  # nothing is lowered, so that left edges stay: children too are those of that text
    found = edges(flat, height, causal=True).so_far()
    for end in range(1, 7):
        text = edges(flat[:, :end], height[:, :end]).parents()
        assert torch.allclose(found.child[:, end - 1, :end], text[:, :, end - 1], atol=1e-6)


def test_distances_are_lowered_until_each_part_reaches_beyond_itself():
    distance, height = drawn(5)
    found = margins(torch.cat([distance[:, :-1], torch.full((2, 1), FAR)], 1), height)
    for row in range(2):
        for end in range(2, 7):
            own, less = distance[row, : end - 1], lowered(distance[row, : end - 1].tolist(), height[row, :end].tolist())
            assert found[row, end - 1].item() == pytest.approx(own[0].item() - less[0], abs=1e-5)


def test_padding_on_either_side_changes_no_tree():
    distance, height = drawn(7)
    alone = edges(distance[:, :4], height[:, :4]).parents()
    for begin in (0, 2):
        d, h = (torch.full((2, 6), 3.0) for _ in range(2))
        d[:, begin : begin + 4], h[:, begin : begin + 4] = distance[:, :4], height[:, :4]
        shown = torch.zeros(2, 6, dtype=torch.bool)
        shown[:, begin : begin + 4] = True
        found = edges(d, h, shown=shown).parents()
        assert torch.allclose(found[:, begin : begin + 4, begin : begin + 4], alone, atol=1e-6)
        assert found[:, begin : begin + 4].sum(-1) == pytest.approx(alone.sum(-1), abs=1e-6)


def test_no_future_leaks_bit_for_bit():
    model = sharpen(build("structformer-causal"))
    ids = torch.randint(4, 20, (3, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(input_ids=ids).logits
        for at in range(1, 12):
            changed = ids.clone()
            changed[:, at:] = (changed[:, at:] - 3) % 16 + 4
            after = model(input_ids=changed).logits
            assert torch.equal(before[:, :at], after[:, :at])
            assert not torch.equal(before[:, at], after[:, at])


@pytest.mark.parametrize("name", ["structformer", "structformer-causal"])
def test_the_parser_learns_from_the_text_alone(name):
    model, ids = build(name).train(), torch.randint(4, 20, (4, 13))
    part = StructFormer()
    loss = part.loss(model, ids, nullcontext) if name == "structformer" else model(input_ids=ids, labels=ids).loss
    loss.backward()
    unmoved = [key for key, weight in model.model.parser.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not unmoved


def test_a_masked_one_sees_both_sides_and_hides_behind_the_mask_alone():
    model = sharpen(build("structformer"))
    ids = torch.randint(4, 20, (2, 12), generator=torch.Generator().manual_seed(1))
    changed = ids.clone()
    changed[:, 7] = (changed[:, 7] - 3) % 16 + 4
    right = torch.tensor([[1] * 9 + [0] * 3, [1] * 12])
    with torch.no_grad():
        whole, other = (model(input_ids=one).logits for one in (ids, changed))
        assert not torch.allclose(whole[:, :7], other[:, :7], atol=1e-4)
        padded = model(input_ids=ids, attention_mask=right).logits
        assert torch.allclose(padded[0, :9], model(input_ids=ids[:1, :9]).logits[0], atol=1e-5)
        assert torch.allclose(padded[1], whole[1], atol=1e-5)
    seen = []
    model.register_forward_pre_hook(lambda _, given, named: seen.append(named["input_ids"]), with_kwargs=True)
    StructFormer(masked=0.5).loss(model, torch.cat([ids, ids[:, :1]], 1), nullcontext)
    assert ((seen[0] == ids) | (seen[0] == model.config.mask_token_id)).all()


def test_a_masked_folder_opens_through_the_auto_classes_with_its_trees(tmp_path):
    auto.register()
    model, ids = sharpen(build("structformer")), torch.randint(4, 20, (1, 6))
    model.save_pretrained(tmp_path)
    whole, body = (kind.from_pretrained(tmp_path).eval() for kind in (AutoModelForMaskedLM, AutoModel))
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        assert torch.allclose(whole(input_ids=ids).logits, expected, atol=1e-5)
        assert torch.allclose(model.lm_head(body(input_ids=ids).last_hidden_state), expected, atol=1e-5)
        own = model.state_dict()
        assert all(torch.equal(value, own[name]) for name, value in whole.state_dict().items())
        # the same weights elsewhere in memory may be added up in another order: the last bit of a tree is the processor's
        assert torch.allclose(whole.parents(ids), model.parents(ids), rtol=0, atol=1e-6)
