"""Items with a context, with more options than two, and graded ones: asked as they should be, and pairs as they ever were."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from test_causal import by_hand
from test_masked import build as masked_model
from test_masked import tokenizer as letters  # noqa: F401
from test_reading import checkpoint, kept, observation  # noqa: F401

from ontogeny import disk, store
from ontogeny.ngrams import KneserNey, build
from ontogeny.records import OntogenyError, Pair, said
from ontogeny.scoring import ngram_pairs, options, plan, settled
from ontogeny.scoring import pairs as of_pairs
from ontogeny.scoring.reading import CheckpointReader, SuitePairs, ask, keep_pairs
from ontogeny.store import RunFolder
from ontogeny.suites.micro_english import MicroEnglishPairs
from ontogeny.trajectories import curve

CPU = torch.device("cpu")
WORDS = "a b c d e f"
ITEMS = [
    Pair("p", "0", "a b", "b a"),
    Pair("p", "1", "a b", "b a", context="c d"),
    Pair("p", "2", "a b", "a c", more=("d", "a b c d")),
    Pair("q", "0", "a b c", "", human=0.5),
    Pair("q", "1", "c b a", "", context="a", human=-1.0),
    Pair("r", "0", "a b", "b", human=2.0),
]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.words(WORDS)


@pytest.fixture(scope="module")
def model(tokenizer):
    return tiny.opt(len(tokenizer))


# --- what was there before


def test_keys_are_those_of_before_there_were_other_items():
    """Literal values of the version before: no old score is made again."""
    plain = [Pair("p", "1", "a b", "b a"), Pair("p", "2", "a b", "b c", "agr", "syntax", True, False), Pair("p", "3", "c", "d")]
    assert disk.content_key(plain) == "f2aa482964d384bf"
    assert disk.content_key(plain[0]) == "bd4a79cbf09dc0d0"
    assert disk.content_key({"x": plain[1]}, 3) == "25d9b5238f9de638"
    assert store.score_key(disk.content_key(plain), True) == "9a85c1330b5a627f"
    assert disk.content_key(list(MicroEnglishPairs(pairs_per_paradigm=2).pairs())) == "a0096a500cb20e0f"
    assert ask(MicroEnglishPairs(pairs_per_paradigm=10), None).key == "5540c127cde6fdd4"
    assert settled.order(plain) == {"p": [0, 2, 1]}


def test_a_key_changes_with_what_an_item_has_besides():
    plain = Pair("p", "1", "a", "b")
    items = [plain, replace(plain, context="c"), replace(plain, more=("c",)), replace(plain, human=0.0), replace(plain, human=1.0)]
    assert len({disk.content_key(item) for item in items}) == len(items)
    assert said(plain) == {
        "paradigm": "p", "pair": "1", "good": "a", "bad": "b",
        "phenomenon": "", "field": "", "one_prefix": False, "two_prefix": False,
    }  # fmt: skip


def table_of(tmp_path, pairs):
    folder = RunFolder(tmp_path)
    keep_pairs(folder, SuitePairs("own", pairs, [], {}, "k"))
    return disk.read_table(folder.pairs("own"))


def test_tables_have_the_columns_that_are_used(tmp_path):
    before = ["paradigm", "pair", "good", "bad", "phenomenon", "field", "one_prefix", "two_prefix", "contrast"]
    assert table_of(tmp_path, ITEMS[:1]).columns == before
    assert table_of(tmp_path, ITEMS[:2]).columns == [*before[:-1], "context", "contrast"]
    found = table_of(tmp_path, ITEMS)
    assert found.columns == [*before[:-1], "context", "human", "more", "contrast"]
    assert found["more"].to_list() == [[], [], ["d", "a b c d"], [], [], []]
    assert found["contrast"].to_list()[:3] == ["a b|b a", "a b|b a", "a b|a c|d|a b c d"]


# --- what is asked and scored


def after(model, tokenizer, context, text):
    """Log-probability of a text after a context, one sentence at a time."""
    whole = by_hand(model, tokenizer, f"{context} {text}".strip())
    return sum(whole[len(context.split()) :])


def test_every_option_is_scored_after_its_context(model, tokenizer):
    todo = plan.make(ITEMS, tokenizer, 2, 16)
    assert todo.options.shape == (6, 4)
    assert (todo.options != plan.NONE).sum(1).tolist() == [2, 2, 4, 1, 1, 2]
    found = of_pairs.read(model, todo, CPU).frame
    assert found.columns == [
        "paradigm", "pair", "logp_good", "logp_bad", "logp_bad_2", "logp_bad_3",
        "tokens_good", "tokens_bad", "tokens_bad_2", "tokens_bad_3", "critical_good", "critical_bad",
    ]  # fmt: skip
    for item, row in zip(ITEMS, found.iter_rows(named=True), strict=True):
        for place, side in enumerate(options.sides(4)):
            own = item.options[place : place + 1]
            expected = after(model, tokenizer, item.context, own[0]) if own else None
            assert row[f"logp_{side}"] == (None if expected is None else pytest.approx(expected, abs=1e-5)), (item, side)
            assert row[f"tokens_{side}"] == (len(own[0].split()) if own else None)
    assert found["critical_bad"].null_count() == 2
    after_context = after(model, tokenizer, "c d", "a b")
    assert found["critical_good"][1] == pytest.approx(after_context, abs=1e-5)  # all of it differs, and none of the context


def test_pairs_among_other_items_keep_their_numbers(model, tokenizer):
    alone = of_pairs.read(model, plan.make(ITEMS[:1], tokenizer, 2, 16), CPU).frame
    among = of_pairs.read(model, plan.make(ITEMS, tokenizer, 2, 16), CPU).frame
    assert among.select(alone.columns).head(1).to_dicts()[0] == pytest.approx(alone.to_dicts()[0], abs=1e-5)


def test_parts_have_the_columns_of_the_whole(model, tokenizer):
    """Rounds of reading until settled are laid under one another."""
    todo = plan.make(ITEMS, tokenizer, 2, 16)
    whole = of_pairs.read(model, todo, CPU).frame
    parts = [of_pairs.read(model, todo.part(np.array(which)), CPU).frame for which in ([0, 1], [2, 5], [3, 4])]
    assert all(part.schema == whole.schema for part in parts)
    joined = pl.concat(parts)[[0, 1, 2, 4, 5, 3]]
    for column in ("logp_good", "logp_bad", "logp_bad_2"):
        assert joined[column].to_list() == [v if v is None else pytest.approx(v, abs=1e-5) for v in whole[column].to_list()]


def test_an_item_with_an_option_or_a_context_that_is_too_long_is_left_out(tokenizer):
    long = " ".join("a" * 9)
    items = [
        ITEMS[0],
        Pair("p", "1", "a", "b", more=(long,)),
        Pair("p", "2", "a", "b", context=long),
        Pair("p", "3", long, "", human=1),
    ]
    todo = plan.make(items, tokenizer, 2, 8)
    assert [pair.pair for pair in todo.pairs] == ["0"]
    assert [pair.pair for pair in todo.too_long] == ["1", "2", "3"]


def test_bfloat16_is_measured_on_all_options(model, tokenizer):
    cost = of_pairs.read(model, plan.make(ITEMS, tokenizer, 2, 16), CPU, precision="bfloat16").facts["bfloat16"]
    assert cost["pairs"] == len(ITEMS)
    assert 0 < cost["largest_error"] < 1


def test_masked_models_score_all_of_them(letters):  # noqa: F811
    items = [Pair("p", "0", "ab", "cab", context="abc", more=("a b",)), Pair("q", "0", "ab cab", "", human=1.0)]
    first, room = masked_frame(letters)
    found = of_pairs.read_masked(masked_model(), plan.make(items, letters, first, room), letters, CPU).frame
    assert found["tokens_good"].to_list() == [2, 5]
    assert found["logp_bad_2"].null_count() == found["logp_bad"].null_count() == 1


def masked_frame(letters):  # noqa: F811
    from ontogeny.scoring.reading import frame

    return frame(masked_model(), letters, True, None)


def test_the_sentence_without_a_number_is_named_with_its_item(tokenizer):
    broken = tiny.opt(len(tokenizer), tie_word_embeddings=False)
    with torch.no_grad():
        broken.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("e")] = float("nan")
    items = [Pair("p", "0", "a b", "b a"), Pair("p", "1", "a b", "c a", more=("e a", "b"))]
    with pytest.raises(OntogenyError, match=r"not a finite number, in 'e a' \(paradigm p, pair 1\)"):
        of_pairs.score(broken, plan.make(items, tokenizer, 2, 16), CPU)


# --- kept in a run's folder


def test_items_are_tokenised_once_and_opened_as_they_were(tmp_path, checkpoint):  # noqa: F811
    folder, words = checkpoint
    asked = SuitePairs("own", [replace(item, good=item.good.replace("e", "d")) for item in ITEMS], [], {}, "k")
    (tmp_path / "own.csv").write_text("")

    def planned():
        reader = CheckpointReader(RunFolder(tmp_path / "run"), observation(tmp_path / "own.csv"), [asked], "cpu", None)
        return reader.plan(asked, words, folder, tiny.opt(len(words)))

    first, again = planned(), planned()
    (path,) = kept(tmp_path)
    assert disk.read_table(path).columns == ["paradigm", "pair", "good", "bad", "bad_2", "bad_3", "before"]
    assert again.sentences.rows == first.sentences.rows == plan.make(asked.pairs, words, 2, 16).sentences.rows
    assert again.options.tolist() == first.options.tolist()


# --- what cannot be asked


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([Pair("p", "0", "a", "")], "item 0 of p has one sentence and no graded judgement"),
        (
            [Pair("p", "0", "a", "b", human=1.0), Pair("p", "1", "a", "b")],
            "item 1 of p is not graded, and others of its paradigm are",
        ),
        ([Pair("p", "0", "a", "b", human=1.0, more=("c",))], "item 0 of p is graded and has 3 options"),
    ],
)
def test_items_that_cannot_be_asked_are_named(items, told):
    with pytest.raises(OntogenyError, match=told):
        options.check(items)
    options.check(ITEMS[:2] + ITEMS[3:])


def test_a_wrong_option_that_is_the_right_one_is_identical(tmp_path):
    from ontogeny.suites.contrast import distinct

    same, other = Pair("p", "0", "a", "b", more=("a",)), Pair("p", "1", "a", "b", more=("b",))
    assert distinct([same, other]) == ([other], [same])


def test_n_gram_margins_are_of_two_sentences_and_conditioned_on_a_context(tmp_path, tokenizer):
    lines = ["a b", "c d a b", "b a", "a b c"]
    ids = [token for line in lines for token in [2, *tokenizer(line, add_special_tokens=False)["input_ids"]]]
    index = build(tmp_path / "index", np.array(ids, dtype=np.uint16), len(tokenizer), 2, order=3)
    with pytest.raises(OntogenyError, match="an n-gram margin is of a right answer, and item 0 of q is graded by people"):
        ngram_pairs.WalkedPairs(index, plan.make(ITEMS[3:4], tokenizer, 2, 16))
    model = KneserNey(index)
    row = ngram_pairs.margins(model, ngram_pairs.WalkedPairs(index, plan.make(ITEMS[1:2], tokenizer, 2, 16)), [2]).row(
        0, named=True
    )
    a, b, d = tokenizer.convert_tokens_to_ids(list("abd"))
    p = {seen: model.distribution(np.array([[seen]]), 2)[0] for seen in (a, b, d)}
    good, bad = math.log(p[d][a] * p[a][b]), math.log(p[d][b] * p[b][a])
    assert (row["logp_good"], row["logp_bad"], row["margin"]) == pytest.approx((good, bad, good - bad))
    assert (row["length_good"], row["length_bad"]) == (2, 2)


# --- reading until settled


def test_chance_is_that_of_the_options():
    assert options.chances(ITEMS) == {"p": pytest.approx((1 / 2 + 1 / 2 + 1 / 4) / 3)}
    assert options.chances([Pair("p", str(i), "a", "b", more=("c",) * 3) for i in range(7)]) == {"p": pytest.approx(0.2)}
    assert options.graded(ITEMS) == {"q", "r"}
    assert [pair.pair for pair in options.of_two([*ITEMS, Pair("s", "9", "a", "b")])] == ["9"]


def test_counts_are_of_the_best_wrong_option():
    scores = pl.DataFrame(
        {
            "paradigm": ["p"] * 4,
            "logp_good": [-1.0, -1.0, -1.0, -1.0],
            "logp_bad": [-2.0, -2.0, -1.0, -2.0],
            "logp_bad_2": [-3.0, -0.5, -3.0, None],
        }
    )
    assert settled.counts(scores, 1e-5) == {"p": (4, 2, 3)}


@pytest.mark.parametrize("chance", [0.2, 1 / 3])
def test_a_false_state_is_settled_as_seldom_as_with_two_options(chance):
    """Accuracies just inside the band: at either edge the other state is settled with the level's probability at most."""
    n, level, draw = 400, 0.1, np.random.default_rng(0)
    hi = settled.band(n, 1, chance=chance)
    bounds = settled.edges(n, hi, level, chance)
    for right, false in ((math.ceil(hi * n) - 1, 1), (math.floor((2 * chance - hi) * n) + 1, -1)):
        wrong = 0
        for _ in range(400):
            drawn = draw.permutation(np.arange(n) < right).cumsum()
            states = [bounds.state(i, int(drawn[look - 1]), int(drawn[look - 1])) for i, look in enumerate(bounds.looks)]
            wrong += next((state for state in states if state is not None), None) == false
        assert wrong / 400 <= level + 0.03


def test_no_state_below_chance_is_settled_where_there_is_none():
    bounds = settled.edges(20, 0.5, 0.1, 0.2)  # the lower edge is below 0
    assert bounds.state(len(bounds.looks) - 1, 0, 0) == 0
    assert (bounds.wrong == -1).all()


def test_a_uniform_model_gets_chance_from_options_of_one_length(tokenizer):
    uniform = tiny.opt(len(tokenizer))
    with torch.no_grad():
        uniform.get_output_embeddings().weight.zero_()
    items = [Pair("p", str(i), "a b", "b a", more=("c d", "d c", "e f")) for i in range(3)]
    assert curve(of_pairs.score(uniform, plan.make(items, tokenizer, 2, 16), CPU))["accuracy"].to_list() == [pytest.approx(0.2)]


@torch.inference_mode()
def test_a_text_that_is_to_be_written_is_asked_of_causal_models_alone(model, tokenizer, letters):  # noqa: F811
    ends = [Pair("w", str(i), text, "", context="c d", written=True) for i, text in enumerate(("a b", "b", "d d a"))]
    options.check(ends)
    assert options.chances(ends) == {"w": 0} and not options.of_two(ends) and not options.decided(ends)
    found = of_pairs.score(model, plan.make(ends, tokenizer, 2, 16), CPU)
    for pair, row in zip(ends, found.iter_rows(named=True), strict=True):
        ids = [2, *tokenizer(f"c d {pair.good}", add_special_tokens=False)["input_ids"]]
        logps = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        own = [
            (logps[at - 1, ids[at]], logps[at - 1].clone().index_fill_(0, torch.tensor(ids[at]), -9e9).max())
            for at in range(3, len(ids))
        ]
        assert row["logp_good"] == pytest.approx(float(sum(mine for mine, _ in own)), abs=1e-4)
        assert row["logp_good"] - row["logp_bad"] == pytest.approx(min(float(mine - best) for mine, best in own), abs=1e-4)
        assert row["tokens_bad"] == row["tokens_good"] == len(own)
    first, room = masked_frame(letters)
    with pytest.raises(
        OntogenyError, match="item 0 of w is right if the model would write its text, and BertForMaskedLM is a masked"
    ):
        of_pairs.read_masked(masked_model(), plan.make(ends, letters, first, room), letters, CPU)


# --- contexts that differ, and predictions of sums

REGIONS = [
    Pair("s", "0", "a b", "a b", contexts=("c", "d d")),  # one text after two contexts
    Pair("s", "1", "a", "b", more=("c",), contexts=("d", "", "a a")),
    Pair("t", "0", "a b", "b", more=("a", "c"), contexts=("c", "c", "", "d"), predictions=((1, -1, -1, 1), (1, 0, -1, 0))),
    Pair("t", "1", "b", "c", contexts=("a", "a"), predictions=((1, -1),)),
]


def plain(pair, logp):
    """The margin of an item by the definition: the least of what has to hold."""
    values = [logp(*both) for both in pair.asked]
    rows = pair.predictions or [[(n == 0) - (n == wrong) for n in range(len(values))] for wrong in range(1, len(values))]
    return min(sum(times * value for times, value in zip(row, values, strict=True)) for row in rows)


def test_margins_of_contexts_and_predictions_are_those_of_a_plain_loop(model, tokenizer):
    options.check(REGIONS)
    todo = plan.make(REGIONS, tokenizer, 2, 16)
    frame = of_pairs.read(model, todo, CPU).frame
    found = frame.select(pl.col("logp_good") - pl.max_horizontal("logp_bad", "logp_bad_2")).to_series().to_list()
    assert "logp_bad_3" not in frame.columns  # a prediction has two sides, however many regions
    assert found == pytest.approx([plain(pair, lambda c, t: logp_after(model, tokenizer, c, t)) for pair in REGIONS], abs=1e-5)
    assert frame["logp_bad_2"].is_null().to_list() == [True, False, True, True]
    part = of_pairs.read(model, todo.part(np.array([3])), CPU).frame
    assert part.schema == frame.schema
    assert part["logp_good"][0] == pytest.approx(frame["logp_good"][3], abs=1e-6)


def logp_after(model, tokenizer, context, text):
    return sum(by_hand(model, tokenizer, f"{context} {text}".strip())[len(context.split()) :])


def test_n_gram_margins_of_them_are_those_of_a_plain_loop(tmp_path, tokenizer):
    lines = ["a b c", "c d a b", "d d b a", "a a c"]
    ids = [token for line in lines for token in [2, *tokenizer(line, add_special_tokens=False)["input_ids"]]]
    index = build(tmp_path / "index", np.array(ids, dtype=np.uint16), len(tokenizer), 2, order=3)
    model = KneserNey(index)

    def logp(context, text):
        whole = [2, *tokenizer(f"{context} {text}", add_special_tokens=False)["input_ids"]]
        new = len(text.split())
        return sum(
            math.log(model.distribution(np.array([whole[at - 1 : at]]), 2)[0][whole[at]])
            for at in range(len(whole) - new, len(whole))
        )

    items = [*REGIONS, *ITEMS[:3]]
    found = ngram_pairs.margins(model, ngram_pairs.WalkedPairs(index, plan.make(items, tokenizer, 2, 16)), [2])
    assert found["margin"].to_list() == pytest.approx([plain(pair, logp) for pair in items])
    assert (found["logp_good"] - found["logp_bad"]).to_list() == pytest.approx(found["margin"].to_list(), abs=1e-9)


def test_they_are_kept_and_read_back(tmp_path, tokenizer):
    tokens = plan.tokenise(REGIONS, tokenizer, 2, False)
    asked = SuitePairs("regions", REGIONS, [], {}, "key")
    from ontogeny.scoring import reading

    reading._keep_tokens(tmp_path / "tokens.parquet", asked, tokens, "key")
    assert reading._kept_tokens(tmp_path / "tokens.parquet", asked, 2) == tokens
    folder = RunFolder(tmp_path / "run")
    keep_pairs(folder, asked)
    kept_pairs = disk.read_table(folder.pairs("regions"))
    assert kept_pairs["predictions"].to_list()[3] == [[1, -1]]
    assert kept_pairs["contrast"].to_list()[0] == "c|d d"


def test_a_prediction_of_one_region_against_itself_is_identical():
    from ontogeny.suites.contrast import distinct

    same = replace(REGIONS[3], bad="b", pair="2")  # one text after one context on either side
    assert distinct([*REGIONS, same]) == (REGIONS, [same])


def test_a_word_after_a_context_has_words():
    texts = [("run", "runs"), ("sing", "sings"), ("go", "goes"), ("are", "is"), ("have", "has"), ("say", "says")]
    pairs = [Pair("p", str(n), good, bad, context="the cats near it") for n, (good, bad) in enumerate(texts)]
    assert SuitePairs("agreement", pairs, [], {}, "key").without_words() == {}


def test_what_cannot_be_predicted_is_refused():
    for wrong, told in (
        (replace(REGIONS[0], contexts=("c",)), "has 2 options and 1 contexts"),
        (replace(REGIONS[3], predictions=((1, -1, 0),)), "a prediction that does not weigh options of its own"),
        (replace(REGIONS[3], predictions=((1, 1),)), "a prediction that does not weigh options of its own"),
    ):
        with pytest.raises(OntogenyError, match=told):
            options.check([wrong])
    with pytest.raises(OntogenyError, match="this is of one right and one wrong sentence, and item 0 of s compares regions"):
        options.need_two(REGIONS[:1], "this")
