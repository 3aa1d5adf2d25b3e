"""The instrument rules: judged completions with answers on paper, and models whose behaviour is known."""

import math
from types import SimpleNamespace

import pytest
import tiny
import torch

from ontogeny.corpora.formal import Formal, source, spaced
from ontogeny.instruments.instrument import checked
from ontogeny.instruments.rule_table import NO_LENGTH
from ontogeny.instruments.rules import Completion, Rules, Symbols, answered, completed, extrapolation, loss_on
from ontogeny.records import OntogenyError


def context(language, limit=64, **changes):
    tokenizer = tiny.words(spaced(source(language).alphabet))
    return SimpleNamespace(
        **{"tokenizer": tokenizer, "first": tokenizer.bos_token_id, "device": torch.device("cpu"), "limit": limit} | changes
    )


def read(rules, model, where):
    """The table of a model, by column; of a task, with its length behind a slash."""
    where.model = model
    found = {}
    for row in checked(rules, rules.read(where)).iter_rows(named=True):
        length = row.pop("length", NO_LENGTH)
        found |= {f"{name}/{length}" if length != NO_LENGTH else name: v for name, v in row.items() if v is not None}
    return found


class Knows:
    """A causal model with a certain next symbol after each string (None: the end), and all others as unlikely."""

    def __init__(self, symbols, following, sure=20.0):
        self.symbols, self.following, self.sure = symbols, following, sure
        self.vocabulary = 1 + max(*symbols.ids.values(), symbols.end)

    def __call__(self, input_ids, use_cache):
        logits = torch.zeros(*input_ids.shape, self.vocabulary)
        for row, tokens in enumerate(input_ids.tolist()):
            for place in range(len(tokens)):
                said = self.following(self.symbols.string(tokens[1 : place + 1]))
                logits[row, place, self.symbols.end if said is None else self.symbols.ids[said]] = self.sure
        return SimpleNamespace(logits=logits)


def closes(string):
    """Adds b until there are as many as a, and ends: rule 1 of L3 after any prompt that has no more b than a."""
    return "b" if string.count("a") > string.count("b") else None


def test_completions_are_judged_whole_and_the_added_part_alone():
    within = [Completion("aab", "b", True), Completion("aaa", "bb", True)]
    without = [
        Completion("ba", "", True),
        Completion("bba", "ab", False),
        Completion("baa", "b", True),
        Completion("bb", "aa", True),
    ]
    found = extrapolation(source("L3"), within, without)
    assert [found[f"id_{key}"] for key in ("rule1", "rule2", "finished")] == [1 / 2, 1, 1]
    assert [found[f"ood_{key}"] for key in ("rule1", "rule2_completion", "finished")] == [3 / 4, 1, 3 / 4]


def test_a_token_that_is_no_symbol_keeps_no_rule():
    found = extrapolation(source("L3"), [Completion("ab", "\0", True)], [Completion("ba", "\0", True)])
    assert set(found.values()) == {0, 1} and found["id_finished"] == 1 and found["ood_rule1"] == 0 == found["ood_rule2_completion"]


def test_l2_has_the_published_reading_of_rule_1_beside_its_own():
    """abaa has three a, two of them after the b; abaaa the other way round."""
    found = extrapolation(source("L2"), [Completion("b", "", True)], [Completion("aba", "a", True), Completion("aba", "aa", True)])
    assert (found["ood_rule1"], found["ood_rule1_after_b"]) == (1 / 2, 1 / 2)
    found = extrapolation(source("L2"), [Completion("b", "", True)], [Completion("aba", "a", True)])
    assert (found["ood_rule1"], found["ood_rule1_after_b"]) == (0, 1)


def test_a_model_that_closes_what_is_open():
    """Within L3 it is always right; of 251 prompts outside, it is right where the a are as many as the b or more."""
    rules, where = Rules(language="L3", max_length=16), context("L3")
    found = read(rules, Knows(Symbols(source("L3"), where), closes), where)
    outside = source("L3").prompts(8)[1]
    right = sum(prompt.count("a") >= prompt.count("b") for prompt in outside) / 251
    assert right == (163 - 5) / 251  # of 256 strings, 93 have more b than a
    assert found["ood_rule1"] == pytest.approx(right)
    assert [found[key] for key in ("id_rule1", "id_rule2", "id_finished", "ood_rule2_completion", "ood_finished")] == [1] * 5


def test_a_completion_without_end_is_cut_and_judged_as_it_stands():
    where = context("L1", limit=12)
    symbols = Symbols(source("L1"), where)
    found = completed(Knows(symbols, lambda string: "a"), symbols, ["ba", "bb"], longest=300)
    assert found == [Completion("ba", "a" * 9, False), Completion("bb", "a" * 9, False)]  # 12 tokens, the beginning among them
    assert [one.added for one in completed(Knows(symbols, lambda string: "a"), symbols, ["ba"], longest=4)] == ["aa"]


def test_the_loss_is_nats_a_symbol_with_the_end_mark():
    where = context("L3")
    symbols = Symbols(source("L3"), where)
    uniform = Knows(symbols, closes, sure=0.0)
    assert loss_on(uniform, symbols, ["ab", "aaabbb"]) == pytest.approx(math.log(uniform.vocabulary))
    # sure of b after a: a b and its end take: first a wrong, b right, end right
    sure = Knows(symbols, closes, sure=3.0)
    right, wrong = (-math.log(math.exp(x) / (math.exp(3.0) + sure.vocabulary - 1)) for x in (3.0, 0.0))
    assert loss_on(sure, symbols, ["ab"]) == pytest.approx((wrong + 2 * right) / 3, rel=1e-5)


def test_padding_changes_no_loss():
    where = context("L4")
    symbols, model = Symbols(source("L4"), where), tiny.opt(len(where.tokenizer), context=64)
    strings = ["()", "([()])()", "[[]]", "[]" * 12]
    alone = [loss_on(model, symbols, [string]) * (len(string) + 1) for string in strings]
    assert loss_on(model, symbols, strings) == pytest.approx(sum(alone) / sum(len(s) + 1 for s in strings), rel=1e-5)


def test_a_task_is_read_by_length():
    where = context("reverse-string")
    symbols = Symbols(source("reverse-string"), where)

    def reverses_short_ones(string):
        question, equals, answer = string.partition("=")
        if not equals:
            return "a"
        right = (question[::-1] + "\0")[len(answer)] if len(answer) <= len(question) else "\0"
        return None if right == "\0" else right if len(question) <= 5 else "a"

    rules = Rules(language="reverse-string", max_length=5, strings=20, lengths=(4, 8), questions=30)
    found = read(rules, Knows(symbols, reverses_short_ones), where)
    assert found["accuracy/4"] == found["exact/4"] == 1
    assert 0.3 < found["accuracy/8"] < 0.7 and found["exact/8"] < 0.1
    assert set(found) == {"test_loss", "accuracy/4", "exact/4", "accuracy/8", "exact/8"}


def test_accuracy_counts_symbols_and_exact_counts_answers_with_their_end():
    where = context("bucket-sort")
    symbols = Symbols(source("bucket-sort"), where)
    never_ends = Knows(symbols, lambda string: "1")
    assert answered(never_ends, symbols, ["121=112", "1=1"]) == (3 / 4, 0)
    ends = Knows(symbols, lambda string: "1" if len(string) < 3 else None)
    assert answered(ends, symbols, ["1=1", "2=2"]) == (1 / 2, 1 / 2)


def test_prompts_are_drawn_where_there_are_more_than_asked_for():
    where = context("L5")
    rules = Rules(language="L5", prompts=40, longest=12)
    symbols = Symbols(source("L5"), where)
    one, other = (read(rules, Knows(symbols, lambda string: None), where) for _ in range(2))
    assert one == other
    chosen = rules._chosen(source("L5").prompts(8)[1])
    assert len(set(chosen)) == 40 and rules._chosen(["a", "b"]) == ["a", "b"]


@pytest.mark.parametrize("name", ["L1", "L2", "L3", "L4", "L5", "L6", "cue"])
def test_every_language_is_read_off_a_network(name):
    where = context(name)
    model = tiny.opt(len(where.tokenizer), context=64)
    found = read(Rules(language=name, prompts=20, longest=20, strings=20), model, where)
    assert {"test_loss", "id_rule1", "id_rule2", "ood_rule1", "ood_rule2_completion"} < set(found)
    assert all(0 <= value <= 1 for key, value in found.items() if key != "test_loss") and found["test_loss"] > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"language": "L99"}, "no formal language is called 'L99'"),
        ({"language": "L4", "prompt_length": 7}, "prompt_length is 7, but L4 has no prompts of that length"),
        ({"language": "L3", "lengths": (5,)}, "lengths are those of a task's questions"),
        ({"language": "L5", "max_length": 2}, "leaves no string"),
    ],
)
def test_what_cannot_be_asked_is_said(fields, message):
    with pytest.raises(ValueError, match=message):
        Rules(**fields)


def test_what_does_not_fit_the_model_is_said():
    rules = Rules(language="L3")
    model = tiny.opt(8)
    with pytest.raises(OntogenyError, match="set bos: true"):
        read(rules, model, context("L3", first=None))
    with pytest.raises(OntogenyError, match=r"each symbol of L5 \(a b c\) a token of its own"):
        read(Rules(language="L5"), model, context("L3"))
    with pytest.raises(OntogenyError, match="strings of 32 symbols and their beginning need a context of 33, not 16"):
        read(rules, model, context("L3", limit=16))


def test_the_corpus_s_own_tokenizer_has_every_symbol():
    tokenizer = tiny.words(*(document.text for document in Formal(language="L6", strings=30).documents()))
    assert Symbols(source("L6"), context("L6", tokenizer=tokenizer)).string(tokenizer("( [ ) ]")["input_ids"][-4:]) == "([)]"


def test_a_backward_tokenizer_is_refused():
    where = context("L3")
    where.tokenizer.init_kwargs["direction"] = "backward"
    with pytest.raises(OntogenyError, match="strings are judged from their beginning"):
        Symbols(source("L3"), where)
