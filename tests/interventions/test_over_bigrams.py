"""A network over bigrams is the bigrams at step 0, learns the rest, and is saved, opened, read and gone on with like any other."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import ngrams
from ontogeny import recipe as recipes
from ontogeny.architectures.over_bigrams import NEVER, OverBigrams, over
from ontogeny.interventions import treatment
from ontogeny.interventions.over_bigrams import OverBigramsObjective as Part
from ontogeny.interventions.over_bigrams import sparse, text_of
from ontogeny.interventions.streams import Stream
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring import plan as plans
from ontogeny.scoring import readout
from ontogeny.scoring.ngram_pairs import WalkedPairs
from ontogeny.scoring.reading import ask, context_of, open_model, score_folder
from ontogeny.store import RunFolder
from ontogeny.tokens.rows import Blocks
from ontogeny.training import session
from ontogeny.training.loop import batch_loss, train
from ontogeny.training.state import TrainingState

CPU = torch.device("cpu")
TEXTS = ["the dog sees the cat", "the cat sees a dog", "a dog runs", "a cat runs and the dog sees a cat", "the dog runs"] * 3
PAIRS = tiny.pairs(
    ("the dog sees the cat", "the dog sees the sees"),
    ("a cat runs", "cat a runs"),
    ("a dog runs and the cat sees", "a dog runs and the cat see"),  # <unk> at the end of the second
    ("the dog sees the cat", "the dog sees the dog"),
    ("runs", "dog"),
)


@pytest.fixture
def context(context_of):
    return context_of(TEXTS, PAIRS, training={"context": 16})


def network(context, **options):
    return tiny.opt(len(context.tokenizer), **options)


def begun(context, **options):
    return Part().model(network(context, **options), context).eval()


def awake(model):
    """The same with a head that says something."""
    torch.manual_seed(3)
    torch.nn.init.normal_(model.network.get_output_embeddings().weight, std=0.5)
    return model


def margins(frame):
    return (frame["logp_good"] - frame["logp_bad"]).to_numpy()


# --- the bigrams ----------------------------------------------------------------------------------------------------


def test_two_words_by_hand(context_of):
    """B x y x y x z B, the stream with its closing BOS, with the discounts that stand in where there is too little: .5, 1, 1.5.

    Bigrams: Bx, xz and zB once, xy and yx twice.  Different tokens before x: 2 (B, y), before y, z and B: 1 each, 5 in all.
    """
    context = context_of(["x y x y x z"])
    table, ids = sparse(context.bigrams()), context.tokenizer.convert_tokens_to_ids
    size, bos = len(context.tokenizer), context.first
    x, y, z, pad = ids(["x", "y", "z", "<pad>"])
    rest = (1 + 3 * 0.5) / 5 / size  # what was taken off 2, 1, 1 and 1, shared by all tokens
    p1 = {x: (2 - 1) / 5 + rest, y: (1 - 0.5) / 5 + rest, z: (1 - 0.5) / 5 + rest, bos: (1 - 0.5) / 5 + rest, pad: rest}
    after_x, after_y, after_z = (1 + 0.5) / 3, 1 / 2, 0.5 / 1  # back-off weights: what was taken off xy and xz, yx, zB
    expected = {
        (x, y): (2 - 1) / 3 + after_x * p1[y],
        (x, z): (1 - 0.5) / 3 + after_x * p1[z],
        (x, x): after_x * p1[x],
        (y, x): (2 - 1) / 2 + after_y * p1[x],
        (y, pad): after_y * p1[pad],
        (z, bos): (1 - 0.5) / 1 + after_z * p1[bos],
        (z, y): after_z * p1[y],
        (pad, y): p1[y],  # nothing ever follows <pad>
    }
    rows = table(torch.arange(size)).exp()
    assert {pair: float(rows[pair]) for pair in expected} == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=6), min_size=4, max_size=8))
@settings(max_examples=30, deadline=None)
def test_the_table_is_the_model_for_any_text(tmp_path_factory, lines):
    """Against the model's own distributions after every token, seen or not."""
    ids = np.array([t for line in [*lines, lines[0]] for t in [5, *("abcde".index(c) for c in line)]], dtype=np.uint16)
    place = tmp_path_factory.mktemp("index")
    model = ngrams.KneserNey(ngrams.open_or_build(place, ids, 7, 5, "k", order=2))
    found = sparse(model)(torch.arange(7)[None])
    assert found.shape == (1, 7, 7)
    assert np.allclose(found[0].exp(), model.distribution(np.arange(7)[:, None], 2), atol=1e-7)
    assert torch.allclose(found.logsumexp(-1), torch.zeros(1), atol=1e-6)


def test_rows_beyond_the_tokenizer_never_occur(context):
    table = sparse(context.bigrams())
    size = len(table.unigram)
    wide = table.widened(size + 3)(torch.arange(size + 3))
    assert torch.equal(wide[:size, :size], table(torch.arange(size)))
    assert (wide[:, size:] <= NEVER).all()
    assert wide.log_softmax(-1)[:size, :size].sub(wide[:size, :size]).abs().max() < 1e-5


# --- the two together -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"tie_word_embeddings": False}, {"vocab_size": 64}], ids=["tied", "untied", "rounded up"])
def test_step_0_has_the_margins_of_the_bigrams(context, options):
    model, plan = begun(context, **options), context.plan(["toy"])
    sentences = WalkedPairs(context.index(), plan)
    expected = sentences.margins(sentences.logps(context.bigrams(), 2), 2)
    assert np.ptp(expected) > 1
    assert margins(of_pairs.score(model, plan, CPU)) == pytest.approx(expected, abs=1e-5)
    assert context.margin("toy") == pytest.approx(margins(of_pairs.score(model, plan, CPU)).mean(), abs=1e-5)


def test_logits_are_the_sum_of_both_experts(context):
    model = awake(begun(context))
    ids = torch.tensor([[2, 5, 4, 6], [2, 7, 7, 8]])
    rows = [[context.bigrams().distribution(np.array([[token]]), 2)[0] for token in row] for row in ids.tolist()]
    expected = torch.tensor(np.log(rows)).float() + model.network(input_ids=ids).logits
    assert torch.allclose(model(input_ids=ids).logits, expected, atol=1e-5)


def test_labels_are_predicted_by_the_two_together(context):
    model, ids = begun(context), torch.tensor([[2, 5, 4, 6]])
    expected = [-np.log(context.bigrams().distribution(np.array([[a]]), 2)[0, b]) for a, b in ((2, 5), (5, 4), (4, 6))]
    assert model(input_ids=ids, labels=ids).loss.item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_the_network_keeps_its_weights_and_loses_its_head(context):
    before = network(context)
    model = over(before, sparse(context.bigrams()))
    own, names = before.state_dict(), set(model.network.state_dict())
    assert names == set(own)
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, own[name]) if name != "lm_head.weight" else not value.any()
    assert model.get_input_embeddings().weight.data_ptr() != model.network.get_output_embeddings().weight.data_ptr()


@torch.inference_mode()
def test_every_way_of_reading_gives_the_same_numbers(context):
    """Sentences packed as trees too: a bigram's history is the token that a prediction is made at, wherever that stands."""
    model, plan = awake(begun(context)), context.plan(["toy"])
    plain, _ = readout.token_logps(list(readout.ways(model))[-1], plan.sentences, CPU)
    assert [way.body for way in readout.ways(model)] == [False, False]  # a head alone would leave the bigrams out
    assert readout.choose(model, plan.sentences, CPU).trees
    for way in readout.ways(model):
        assert readout.token_logps(way, plan.sentences, CPU)[0] == pytest.approx(plain, abs=1e-5)
    one_by_one = [
        float(model(input_ids=torch.tensor([s[:-1]])).logits[0].log_softmax(-1)[range(len(s) - 1), s[1:]].sum())
        for s in plan.sentences
    ]
    frame = of_pairs.score(model, plan, CPU)
    assert frame["logp_good"].to_numpy() == pytest.approx(np.array(one_by_one)[plan.good], abs=1e-5)


def test_a_checkpoint_opens_with_its_bigrams(context, tmp_path):
    model = awake(begun(context))
    tiny.save(model, context.tokenizer, tmp_path / "c")
    again = open_model(tmp_path / "c")
    ids = torch.tensor([[2, 5, 4, 6]])
    assert isinstance(again, OverBigrams)
    assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)
    assert torch.equal(again.network(input_ids=ids).logits, model.network(input_ids=ids).logits)
    assert context_of(again, None) == 16


def test_it_goes_on_writing_what_is_likely(context):
    model, ids = begun(context), torch.tensor([[2, 5]])
    written = model.generate(ids, max_new_tokens=4, do_sample=False, eos_token_id=None, pad_token_id=1)[0].tolist()
    for before, after in pairwise(written[1:]):
        assert after == context.bigrams().distribution(np.array([[before]]), 2)[0].argmax()


# --- training -------------------------------------------------------------------------------------------------------


def trained(context, until, state=None, steps=12):
    """The state after `until` of `steps` optimiser steps, from the beginning or from another state."""
    part, training = Part(), context.recipe.training
    treated = treatment(with_part(context, part), [Stream(0.0, 1.0, context.text, ())], 0)
    state = state or TrainingState(treated.model(network(context, dropout=0.0, init_std=0.02)), training)
    engine = session.Engine(CPU, 1, "float32", False)
    next(iter(train(state, treated, training, engine, 0, steps, {until})))
    return state


def with_part(context, part):
    return replace(context, recipe=context.recipe.model_copy(update={"interventions": (part,)}))


def test_training_starts_at_the_bigrams_and_moves_only_the_network(context):
    state = trained(context, 0)
    bigrams = {name: value.clone() for name, value in state.model.bigrams.state_dict().items()}
    head = state.model.network.lm_head.weight
    assert not head.any()
    trained(context, 12, state)
    losses = [row[0] for row in state.history]
    block = Blocks(context.text, 16).take(np.arange(len(Blocks(context.text, 16))))
    plain = begun(context)
    all_blocks = batch_loss(plain, torch.from_numpy(block), nullcontext).item() / block[:, 1:].size
    history, target = block[:, :-1].ravel(), block[:, 1:].ravel()
    p = context.bigrams().distribution(history[:, None], 2)[np.arange(len(target)), target]
    assert all_blocks == pytest.approx(-np.log(p).mean(), abs=1e-5)
    assert losses[-1] < all_blocks - 0.1
    assert head.any()
    assert all(torch.equal(value, bigrams[name]) for name, value in state.model.bigrams.state_dict().items())
    assert not [name for name, _ in state.model.named_parameters() if name.startswith("bigrams")]


def test_training_goes_on_bit_for_bit(context, tmp_path):
    whole = trained(context, 12)
    half = trained(context, 5)
    half.save(tmp_path / "state.safetensors", "key")
    fresh = trained(context, 0)
    fresh.restore(tmp_path / "state.safetensors", "key")
    trained(context, 12, fresh)
    assert [row[0] for row in fresh.history] == [row[0] for row in whole.history]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, fresh.model.state_dict()[name]), name


def test_the_network_learns_what_bigrams_cannot_know(context_of):
    """a b c and d b e: after b only what came before b decides.  The bigrams say one half for ever, the two together learn it."""
    context = context_of(["a b c", "a b c", "d b e", "d b e"] * 4, training={"context": 8, "learning_rate": 0.02})
    model = trained(context, 60, steps=60).model.eval()
    a, b, c, d, e = context.tokenizer.convert_tokens_to_ids(list("abcde"))
    for before, after, other in ((a, c, e), (d, e, c)):
        p = model(input_ids=torch.tensor([[context.first, before, b]])).logits[0, -1].softmax(-1).detach()
        two = model.bigrams(torch.tensor([b]))[0].exp()
        assert float(two[after]) == pytest.approx(float(two[other]), abs=1e-6)
        assert float(p[after]) > 0.9


def test_an_architecture_without_a_head_is_refused_by_name(context):
    headless = network(context)
    headless.get_output_embeddings = lambda: None
    with pytest.raises(OntogenyError, match=r"OPTForCausalLM has none"):
        over(headless, sparse(context.bigrams()))


def test_the_bigrams_are_of_the_text_that_was_asked_for(context, context_of):
    other = context_of(["a cat sees"] * 4)
    moved = context.after(other.text)
    assert text_of("read", moved) is other.text
    assert text_of("untouched", moved) is context.untouched


# --- a run ----------------------------------------------------------------------------------------------------------

SUITE = "{kind: micro-english, pairs_per_paradigm: 10, paradigms: [anaphor_gender_agreement, animate_subject_trans, causative]}"
RUN = (
    "seeds=[0]",
    "checkpoints={kind: steps, steps: []}",
    "training.steps=6",
    "interventions=[over-bigrams]",
    f"suites=[{SUITE}, {{kind: network-alone, of: {SUITE}}}]",
)


def test_a_run_reads_the_two_together_and_the_network_alone(tmp_path):
    run = Run.begin(tiny.recipe(*RUN), tmp_path)
    run.train()
    together, alone = (run.scores(suite).collect() for suite in ("micro-english", "micro-english-network-alone"))
    assert together["step"].unique().sort().to_list() == alone["step"].unique().sort().to_list() == [0, 6]

    context, pairs = run.intervention_context, run.asked[0].pairs
    sentences = WalkedPairs(context.index(), plans.make(pairs, context.tokenizer, context.first, 16))
    bigrams = sentences.margins(sentences.logps(context.bigrams(), 2), 2)
    begun = together.filter(pl.col("step") == 0)
    assert begun["pair"].to_list() == [pair.pair for pair in pairs]
    assert margins(begun) == pytest.approx(bigrams, abs=1e-5)

    last = alone.filter(pl.col("step") == 6)
    network = open_model(run.folder.checkpoint(0, 6)).network
    direct = of_pairs.score(
        network, run.readings.reader.plan(run.asked[1], context.tokenizer, run.folder.checkpoint(0, 6), network), CPU
    )
    assert margins(last) == pytest.approx(margins(direct), abs=1e-5)
    assert np.abs(margins(last) - margins(together.filter(pl.col("step") == 6))).max() > 0.5


def test_a_model_without_a_network_inside_is_named(own_run):
    asked = ask(tiny.recipe(*RUN).suites[1], 1)
    folder = RunFolder(own_run).checkpoint(0, 0)
    with pytest.raises(OntogenyError, match=r"step-00000000: .*-network-alone scores a model's network, and OPTFor"):
        score_folder(folder, asked, CPU, 512, True, lambda sentences: None)


def test_a_suite_read_on_the_network_alone_has_the_other_suites_pairs():
    whole, alone = tiny.recipe(*RUN).suites
    assert list(alone.pairs()) == list(whole.pairs())
    assert alone.human() == whole.human()
    assert alone.name == "micro-english-network-alone"
    assert recipes.parse(recipes.dump(tiny.recipe(*RUN))).suites == (whole, alone)


def test_a_mistake_in_the_suite_inside_is_named():
    with pytest.raises(OntogenyError, match=r"no suite is called 'micro-inglish'; did you mean 'micro-english'"):
        tiny.recipe("suites=[{kind: network-alone, of: micro-inglish}]")
