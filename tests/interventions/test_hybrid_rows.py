"""Causal rows beside masked ones: what each sees, what is asked of it and counted, and what one network learns by both."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import tiny
import torch
from pydantic import ValidationError

from ontogeny import disk, registry
from ontogeny.architectures.models.masking import NOT_COUNTED, ShiftedForMaskedLM, sees_both_sides, shifted
from ontogeny.interventions import hybrid_rows
from ontogeny.interventions.hybrid_rows import HybridRows
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.scoring.reading import open_model, part_of
from ontogeny.tokens.pretrained import open_tokenizer
from ontogeny.training import loop
from ontogeny.training.engine import Engine
from ontogeny.training.treatment import Period, nats_of

ENGINE = Engine(torch.device("cpu"), 1, "float32", False)
KEPT = 4  # tokens at the beginning of a row that stay


class Altered:
    """Rows whose later tokens are others."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def take(self, indices):
        found = self.rows.take(indices).copy()
        found[:, KEPT:] = 3 + found[:, KEPT:] % 5
        return found

    def words(self, indices):
        return self.rows.words(indices)


def first_step(context, begun, monkeypatch, alter):
    """Logits and nats [rows, context, ...] of a training's first step, and which rows are masked."""
    heard = []

    def record(logits, wanted):
        found = nats_of(logits, wanted)
        heard.append((logits.detach(), found.detach().view(len(wanted), -1), (wanted == NOT_COUNTED).any(1)))
        return found

    monkeypatch.setattr(hybrid_rows, "nats_of", record)
    state, treated = begun(context)
    if alter:
        treated = replace(treated, periods=(Period(1.0, Altered(treated.periods[0].rows)),))
    next(loop.train(state, treated, context.recipe.training, ENGINE, 0, context.recipe.training.steps, {1}))
    return heard[0]


def test_causal_rows_leak_no_future_and_masked_rows_beside_them_see_both_sides(short, begun, monkeypatch):
    context = short(HybridRows(), training={"context": 16})
    (logits, nats, masked), (others, other_nats, same_rows) = (
        first_step(context, begun, monkeypatch, alter) for alter in (False, True)
    )
    assert torch.equal(masked, same_rows) and masked.sum() == 2 == (~masked).sum()
    assert torch.equal(logits[~masked, :KEPT], others[~masked, :KEPT])  # bit for bit, dropout and all
    assert torch.equal(nats[~masked, : KEPT - 1], other_nats[~masked, : KEPT - 1])
    assert not torch.equal(logits[~masked, KEPT:], others[~masked, KEPT:])  # what was altered is seen where it may be
    assert (logits[masked, :KEPT] != others[masked, :KEPT]).any(-1).all()


def test_what_follows_a_rows_end_is_seen_by_no_row():
    network, rows = tiny.opt(20), torch.tensor([[3, 4, 5, 0], [3, 4, 5, 9]]).repeat(2, 1)
    real, both = torch.tensor([True, True, True, False]).expand(4, 4), torch.tensor([False, False, True, True])
    first, second, third, fourth = shifted(network, rows, real, both)[:, :3]
    assert torch.equal(first, second) and torch.equal(third, fourth) and not torch.allclose(first[0], third[0])


def test_without_masked_rows_training_is_the_ordinary_one_bit_for_bit(short, trained):
    none, plain = trained(short(HybridRows(share=0))), trained(short())
    assert none.losses == plain.losses
    assert all(torch.equal(none.weights[name], own) for name, own in plain.weights.items())


def test_a_masked_row_has_a_loss_at_its_hidden_places_alone_and_both_are_counted(short, begun):
    state, treated = begun(short(HybridRows(share=0.25, hidden=0.5, hidden_end=0.1)))
    assert (treated.loss.weigh, HybridRows(weigh="tokens").loss(None).weigh) == ("rows", "tokens")
    loss, tokens = treated.loss, torch.from_numpy(treated.periods[0].rows.take(torch.arange(4).numpy()))
    tokens[0, 6:] = NOT_COUNTED  # a row that ends early
    state.model.eval()
    for seed in range(8):  # each row is a masked one
        loss.before(state, 0, 4)
        torch.manual_seed(seed)
        masked, seen, wanted = loss.drawn(tokens, state.model.config)
        torch.manual_seed(seed)
        found = float(loss(state.model, tokens, nullcontext).detach())
        assert masked.sum() == 1
        assert torch.equal(wanted[~masked], tokens[~masked]) and torch.equal(seen[~masked], tokens[~masked, :-1].clamp(min=0))
        asked = wanted[masked][0] != NOT_COUNTED
        assert torch.equal(wanted[masked][0][asked], tokens[masked][0][asked]) and not asked[[0, -1]].any()
        changed = seen[masked][0] != tokens[masked][0, :-1].clamp(min=0)
        assert asked[:-1][changed].all()  # nothing is hidden that is not asked for
        with torch.no_grad():
            nats = nats_of(shifted(state.model, seen, tokens[:, :-1] >= 0, masked), wanted).view(4, -1)
        targets = (tokens[masked, 1:] >= 0).sum()
        expected = nats[~masked].sum() + nats[masked].sum() / max(1, int(asked.sum())) * targets
        assert found == pytest.approx(float(expected), rel=1e-5)
        loss.weigh = "tokens"  # the mean over all that has a loss
        torch.manual_seed(seed)
        found = float(loss(state.model, tokens, nullcontext).detach())
        assert found == pytest.approx(float(nats.sum() / (wanted[:, 1:] >= 0).sum() * (tokens[:, 1:] >= 0).sum()), rel=1e-5)
        loss.weigh = "rows"
        before = loss.told.tolist()
        loss.after(state, 0, 4)
        told = loss.told - torch.tensor(before)
        assert told.tolist() == [2 * int((tokens[~masked, 1:] >= 0).sum()), 2 * int(asked.sum())]  # of the two that were asked for


def test_the_share_that_is_hidden_falls_evenly_and_spans_have_one_fate(short, begun):
    state, treated = begun(short(HybridRows(share=1)))
    rows, loss = torch.full((400, 66), 5), treated.loss
    shares, ends = [], []
    for step in (0, 50, 100):
        loss.before(state, step, 100)
        torch.manual_seed(step)
        _, seen, wanted = loss.drawn(rows, state.model.config)
        hidden = wanted[:, 1:-1] != NOT_COUNTED
        shares.append(float(hidden.float().mean()))
        ends.append(float((hidden[:, 1:] != hidden[:, :-1]).float().mean()))
        fates = seen[:, 1:][hidden]
        assert float((fates == state.model.config.mask_token_id).float().mean()) == pytest.approx(0.8, abs=0.03)
    assert shares == pytest.approx([0.3, 0.225, 0.15], abs=0.01)
    # spans of 1, 2 and 3 are two tokens long on average: every second place begins one
    assert ends == pytest.approx([s * (1 - s) for s in (0.3, 0.225, 0.15)], abs=0.01)
    loss.span = 1
    assert float((loss.drawn(rows, state.model.config)[2] == 5).float().mean()) == pytest.approx(0.15 * 64 / 66, abs=0.01)


def test_a_share_that_is_no_whole_number_of_rows_is_met_on_average(short, begun):
    state, treated = begun(short(HybridRows(share=0.3)))
    rows = torch.full((4, 9), 5)
    found = torch.tensor([int(treated.loss.drawn(rows, state.model.config)[0].sum()) for _ in range(500)])
    assert set(found.tolist()) == {1, 2} and float(found.float().mean()) == pytest.approx(1.2, abs=0.1)


def test_a_training_that_is_killed_goes_on_as_if_it_had_not_been(short, begun, goes_on, tmp_path):
    context = short(HybridRows())
    goes_on(context, [1, 4])
    state, treated = begun(context)
    treated.loss.told += torch.tensor([7, 3])
    state.save(tmp_path / "told", "key")
    again, treated = begun(context)
    again.restore(tmp_path / "told", "key")
    assert treated.loss.facts() == {"causal_tokens": 7, "masked_tokens": 3}


def test_its_draws_are_the_seeds(short, trained):
    one, again, other = (trained(short(HybridRows()), seed) for seed in (0, 0, 1))
    assert one.losses == again.losses != other.losses
    assert all(torch.equal(again.weights[name], own) for name, own in one.weights.items())


def test_all_but_the_masks_row_begins_as_it_would_without(short, begun):
    (hybrid, _), (plain, _) = begun(short(HybridRows())), begun(short())
    vocabulary = plain.model.config.vocab_size
    for (name, own), other in zip(hybrid.model.named_parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(own[:vocabulary] if "embed_tokens" in name else own, other), name
    assert hybrid.model.config.vocab_size == vocabulary + 1 == hybrid.model.config.mask_token_id + 1


def test_one_network_knows_what_both_sides_say_and_what_the_left_one_does(context_of, begun):
    """The first word of `a x` and `b y` is a coin's to who has read nothing, and certain to who has read the second."""
    model = {"kind": "opt", "size": "opt-1m", "options": tiny.recipe().model.options | {"dropout": 0.0}}
    training = {"context": 4, "batch": 16, "steps": 150, "learning_rate": 1e-2, "unit": "document"}
    part = HybridRows(hidden=0.5, hidden_end=0.5, mask=1, span=1)
    context = context_of(["a x", "b y"] * 20, interventions=[part], model=model, training=training)
    state, treated = begun(context)
    for _ in loop.train(state, treated, context.recipe.training, ENGINE, 0, 150, {150}):
        network = state.model.eval()
    a, b, x, y = context.tokenizer.convert_tokens_to_ids(["a", "b", "x", "y"])
    first, mask = context.first, network.config.mask_token_id
    with torch.no_grad():
        left = network(input_ids=torch.tensor([[first, a]])).logits.softmax(-1)[0]
        both = ShiftedForMaskedLM(network)(torch.tensor([[first, mask, x, first], [first, mask, y, first]]), torch.ones(2, 4))
    assert left[0, a] == pytest.approx(0.5, abs=0.1) and left[1, x] > 0.95
    found = both.logits[:, 1].softmax(-1)
    assert found[0, a] > 0.85 and found[1, b] > 0.85
    assert both.logits[:, 0].isnan().all()  # of a row's first token it says nothing


# --- who can ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["opt", "gpt2", "gpt-neox", "llama", "lstm", "mamba", "linear", "xlstm", "structformer-causal"])
def test_attention_can_see_both_sides_and_recurrence_cannot(kind):
    torch.manual_seed(0)
    part = registry.load("architecture", kind)()
    network = part.build(32, 8, 2, 1).train()
    network.config.mask_token_id = 31
    assert sees_both_sides(network) == (kind in ("opt", "gpt2", "gpt-neox", "llama")) and network.training


def test_a_model_that_cannot_look_ahead_is_refused_by_name(context_of, begun):
    with pytest.raises(OntogenyError, match=r"both sides of a token, and lstm cannot look ahead .* take opt, gpt2"):
        begun(context_of(["x y"] * 20, interventions=[HybridRows()], model={"kind": "lstm"}))


@pytest.mark.parametrize("wrong", [{"share": 1.2}, {"share": -0.1}, {"hidden": 0}, {"hidden_end": 1}, {"mask": 2}, {"span": 0}])
def test_shares_outside_their_bounds_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        HybridRows(**wrong)


def test_a_model_that_was_not_trained_so_is_not_read_from_both_sides(tmp_path):
    asked = type("Asked", (), {"part": "both-sides", "name": "blimp-both-sides"})
    with pytest.raises(OntogenyError, match="blimp-both-sides reads from both sides what the intervention hybrid-rows has trained"):
        part_of(tiny.opt(8), asked, tmp_path)


# --- a run --------------------------------------------------------------------------------------------------------


SUITE = "{kind: micro-english, pairs_per_paradigm: 4, paradigms: [anaphor_gender_agreement]}"
RUN = (
    "seeds=[0]",
    "checkpoints={kind: steps, steps: []}",
    "training.steps=6",
    "interventions=[hybrid-rows]",
    f"suites=[{SUITE}, {{kind: both-sides, of: {SUITE}}}]",
    "scoring.masked=original",
)


def test_a_run_is_read_as_causal_and_from_both_sides(tmp_path):
    run = Run.begin(tiny.recipe(*RUN), tmp_path)
    run.train()
    left, both = (run.scores(f"micro-english{name}").collect().filter(step=6) for name in ("", "-both-sides"))
    facts = disk.read_json(run.folder.checkpoint(0, 6) / "ontogeny.json")
    assert facts["tokens"] == 6 * 4 * 16 and facts["causal_tokens"] == 6 * 2 * 16  # 2 of 4 rows of 16 targets, at every step
    assert 0 < facts["masked_tokens"] < 6 * 2 * 15 * 0.5

    network, tokenizer = open_model(run.folder.checkpoint(0, 6)), open_tokenizer(run.folder.checkpoint(0, 6))
    assert tokenizer.mask_token_id == network.config.mask_token_id == len(tokenizer) - 1
    ids = [run.intervention_context.first, *tokenizer(run.asked[1].pairs[0].good)["input_ids"], run.intervention_context.first]
    rows = torch.tensor([ids] * (len(ids) - 2))
    for row in range(len(rows)):
        rows[row, row + 1] = tokenizer.mask_token_id
    with torch.no_grad():
        logps = ShiftedForMaskedLM(network)(rows, torch.ones_like(rows)).logits.log_softmax(-1)
    expected = sum(float(logps[row, row + 1, ids[row + 1]]) for row in range(len(rows)))
    assert both["logp_good"][0] == pytest.approx(expected, abs=1e-4)
    assert abs(left["logp_good"][0] - expected) > 0.01
