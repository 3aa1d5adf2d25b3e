"""Formal languages against definitions written anew here, and chance against sums on paper."""

import doctest
import hashlib
import importlib
import pkgutil
import re
from collections import Counter
from fractions import Fraction
from itertools import product
from math import comb
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.corpora import formal
from ontogeny.corpora.formal import SOURCES, Formal, Language, chance, chances, drawn, source, split_of
from ontogeny.corpora.formal.chance import TOLERANCE
from ontogeny.corpora.formal.corpus import DRAWN
from ontogeny.corpora.formal.rules import Equal, Even, Matched, Order
from ontogeny.recipe import Part
from ontogeny.records import OntogenyError

SIX = ["L1", "L2", "L3", "L4", "L5", "L6"]
MODULES = [module.name for module in pkgutil.iter_modules(formal.__path__)]


def cancel(string, *pairs):
    """What is left when neighbours that match are taken out again and again."""
    while (shorter := re.sub("|".join(map(re.escape, pairs)), "", string)) != string:
        string = shorter
    return string


def crossing(string):
    return not cancel(re.sub(r"[()]", "", string), "[]") and not cancel(re.sub(r"[\[\]]", "", string), "()")


BY_DEFINITION = {
    "L1": lambda s: s.startswith("b") and s.count("a") % 2 == 0,
    "L2": lambda s: re.fullmatch("b+(aa)*", s) is not None,
    "L3": lambda s: bool(s) and s == "a" * (len(s) // 2) + "b" * (len(s) // 2),
    "L4": lambda s: bool(s) and not cancel(s, "()", "[]"),
    "L5": lambda s: bool(s) and s == "".join(x * (len(s) // 3) for x in "abc"),
    "L6": lambda s: bool(s) and crossing(s),
}
LONGEST = {"L1": 9, "L2": 9, "L3": 9, "L4": 6, "L5": 6, "L6": 6}


def strings(alphabet, longest):
    return ["".join(symbols) for length in range(longest + 1) for symbols in product(alphabet, repeat=length)]


def members(name):
    return [string for string in strings(source(name).alphabet, LONGEST[name]) if source(name).member(string)]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_docstrings_hold(module):
    outcome = doctest.testmod(importlib.import_module(f"ontogeny.corpora.formal.{module}"))
    assert outcome.failed == 0


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if issubclass(source, Language)])
def test_every_language_shows_examples(name):
    assert ">>> " in SOURCES[name].__doc__


@pytest.mark.parametrize("name", SIX)
def test_the_recogniser_agrees_with_the_definition_on_every_short_string(name):
    language = source(name)
    for string in strings(language.alphabet, LONGEST[name]):
        assert language.member(string) == BY_DEFINITION[name](string), string


def test_members_can_be_counted_on_paper():
    catalan = [1, 1, 2, 5]
    count = Counter((name, len(string)) for name in SIX for string in members(name))
    assert [count["L1", length] for length in (1, 2, 3, 9)] == [1, 1, 2, 128]  # half of the strings after the b
    assert [count["L2", length] for length in (1, 2, 3, 9)] == [1, 1, 2, 5]
    assert [count["L4", length] for length in (2, 4, 6)] == [2 * 1, 4 * 2, 8 * 5]  # Catalan, times a kind for each pair
    crossings = [sum(comb(2 * n, 2 * k) * catalan[k] * catalan[n - k] for k in range(n + 1)) for n in (1, 2, 3)]
    assert [count["L6", length] for length in (2, 4, 6)] == crossings == [2, 10, 70]
    assert {key: n for key, n in count.items() if key[0] in ("L3", "L5")} == {
        **{("L3", length): 1 for length in (2, 4, 6, 8)},
        **{("L5", length): 1 for length in (3, 6)},
    }


@pytest.mark.parametrize("name", list(SOURCES))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), place=st.integers(0, 30))
def test_what_is_drawn_is_a_member_of_the_length_asked_for(name, seed, place):
    language = source(name)
    lengths = language.lengths(1, 40)
    length = lengths[place % len(lengths)]
    string = language.draw(Random(seed), length)
    assert language.member(string) and set(string) <= set(language.alphabet)
    assert len(string.partition("=")[0]) == length


@pytest.mark.parametrize("name", ["L1", "L2", "L4", "L6"])
def test_every_member_can_be_drawn(name):
    language, random, length = source(name), Random(0), 6
    assert {language.draw(random, length) for _ in range(3000)} == {s for s in members(name) if len(s) == length}


@pytest.mark.parametrize("name", SIX)
def test_a_prompt_is_completable_if_a_member_begins_with_it(name):
    language = source(name)
    longest = LONGEST[name]
    beginnings = {string[:place] for string in members(name) for place in range(len(string) + 1)}
    for prompt in strings(language.alphabet, longest // 3):  # a member that begins with it is at most three times as long
        assert language.completable(prompt) == (prompt in beginnings), prompt


def test_cue_is_completable_as_its_shape_allows():
    cue = source("cue")
    assert [cue.completable(p) for p in ("", "a", "afg", "afgp", "afgpA", "bgA")] == [True, True, True, True, True, False]
    assert not any(cue.completable(p) for p in ("f", "aA", "afpB", "afpAA", "aba", "apf"))


@pytest.mark.parametrize("name", SIX)
def test_prompts_within_can_be_completed_and_prompts_without_can_keep_rule_1_alone(name):
    language = source(name)
    length = 3 if name == "L5" else 4
    within, without = language.prompts(length)
    assert within and without and {len(prompt) for prompt in within + without} == {length}
    assert all(map(language.completable, within)) and not any(map(language.completable, without))
    further = strings(language.alphabet, {"ab": 4, "abc": 6, "()[]": 3}[language.alphabet])
    for prompt in without:
        assert any(language.rule1(prompt + rest) for rest in further), prompt
        assert not any(language.member(prompt + rest) for rest in further), prompt


def test_the_numbers_of_prompts():
    found = {name: tuple(map(len, source(name).prompts(8))) for name in SIX}
    # L3: a^8 .. a^4 b^4.  L5: a^8, a^7 b .. a^4 b^4 and a^3 b^3 c c.  L4, L6: the members of length 6, counted above.
    assert found == {"L1": (128, 128), "L2": (8, 6), "L3": (5, 251), "L4": (40, 40), "L5": (6, 6555), "L6": (70, 70)}
    assert source("L2").prompts(4) == (["baaa", "bbaa", "bbba", "bbbb"], ["abaa", "abba"])


# --- chance -------------------------------------------------------------------------------------------------------


def by_enumeration(rule, prompt, alphabet, longest):
    """Summed over every completion up to a length: a lower bound, and the probability of what is longer."""
    guess = Fraction(1, len(alphabet) + 1)
    total = sum(guess ** (len(rest) + 1) for rest in strings(alphabet, longest) if rule(prompt + rest))
    return float(total), float((1 - guess) ** (longest + 1))


@pytest.mark.parametrize(
    ("rule", "prompt", "alphabet", "longest"),
    [
        (Even("a"), "ba", "ab", 10),
        (Even("a", since="b"), "aba", "ab", 10),
        (Order("ba", led=True), "", "ab", 10),
        (Equal("ab"), "abb", "ab", 10),
        (Equal("abc"), "abb", "abc", 6),
        (Matched("[", "]"), ")[", "()[]", 5),
    ],
)
def test_chance_is_the_sum_over_all_completions(rule, prompt, alphabet, longest):
    low, rest = by_enumeration(rule, prompt, alphabet, longest)
    assert low - TOLERANCE <= chance(rule, [prompt], alphabet) <= low + rest


def test_chance_on_paper():
    """A guesser over s symbols and the end: x = 1 / (s + 1) for each."""
    # Even: from even p = x + x p + x q, from odd q = x p + x q, with x = 1/3: 2/3 and 1/3.
    assert chance(Even("a"), ["b", "a"], "ab") == pytest.approx(1 / 2)
    # After the last b alone, a b makes it even: p = x + 2 x p ... = 3/4 from even, 1/2 from odd.
    assert chance(Even("a", since="b"), ["aba"], "ab") == pytest.approx(1 / 2)
    assert chance(Even("a", since="b"), ["abaa"], "ab") == pytest.approx(3 / 4)
    # a^i b^j, any i and j: (n + 1) strings of length n: x / (1 - x)^2 = 3/4; three symbols: x / (1 - x)^3 with x = 1/4: 16/27.
    assert chance(Order("ab"), [""], "ab") == pytest.approx(3 / 4)
    assert chance(Order("abc"), [""], "abc") == pytest.approx(16 / 27)
    # b^i a^j, i at least 1: n strings of length n: x^2 / (1 - x)^2 = 1/4
    assert chance(Order("ba", led=True), [""], "ab") == pytest.approx(1 / 4)
    # Matched brackets: m = x + 2 x m + m^2 (the first bracket opened is closed): m = (3 - sqrt 5) / 2 with x = 1/5; one open: m^2.
    golden = (3 - 5**0.5) / 2
    assert chance(Matched("(", ")"), [""], "()[]") == pytest.approx(golden)
    assert chance(Matched("[", "]"), [")["], "()[]") == pytest.approx(golden**2)


def test_chance_of_a_n_b_n_is_a_sum_of_binomials():
    """After N more of one symbol than of the other: sum over m of C(N + 2m, m) / 3^(N + 2m + 1)."""
    without = source("L3").prompts(8)[1]
    most = Counter(abs(prompt.count("a") - prompt.count("b")) for prompt in without)
    terms = {n: sum(comb(n + 2 * m, m) / 3 ** (n + 2 * m + 1) for m in range(150)) for n in most}
    expected = sum(terms[n] * count for n, count in most.items()) / 251
    assert chances(source("L3"), 8)["ood_rule1"] == pytest.approx(expected, abs=TOLERANCE) == pytest.approx(0.15396, abs=5e-6)


def test_chance_beside_what_is_published():
    """The published levels that come out, and those that do not and why (docs/formal-languages.md)."""
    found = {name: chances(source(name), 8) for name in ("L1", "L2", "L3", "L4", "L6")}
    assert found["L1"]["ood_rule1"] == pytest.approx(0.5) and found["L1"]["ood_rule2_completion"] == pytest.approx(0.333, abs=4e-4)
    assert found["L2"]["ood_rule1"] == pytest.approx(0.5)
    assert chance(Order("ba"), [""], "ab") == pytest.approx(0.75)  # L2, rule 2: if a completion without b counts
    assert found["L3"]["ood_rule1"] == pytest.approx(0.154, abs=1e-4)
    assert found["L3"]["ood_rule2_completion"] == pytest.approx(sum((n + 1) / 3 ** (n + 1) for n in range(99)))  # .75
    assert sum((n + 1) / 4 ** (n + 1) for n in range(99)) == pytest.approx(0.4445, abs=1e-4)  # two symbols, an end, and one more
    for name in ("L4", "L6"):
        assert found[name]["ood_rule2_completion"] == pytest.approx(0.382, abs=1e-4)
        assert found[name]["ood_rule1"] == pytest.approx(0.1459, abs=1e-4)
    five = source("L5").prompts(5)[1]
    assert chance(Equal("abc"), five, "abc") == pytest.approx(0.0334, abs=5e-5)  # ten times the printed .00334
    # .1273 takes the i-th Catalan number for strings with one bracket open and i pairs besides; there are the (i + 1)-th.
    catalan = [comb(2 * i, i) // (i + 1) for i in range(200)]

    def one_open(number):
        return sum(
            comb(n, 2 * i + 1) * 2 ** (n - 2 * i - 1) * number(i) / 5 ** (n + 1) for n in range(1, 150) for i in range((n + 1) // 2)
        )

    assert one_open(lambda i: catalan[i]) == pytest.approx(0.1273, abs=1e-4)
    assert one_open(lambda i: catalan[i + 1]) == pytest.approx(found["L4"]["ood_rule1"], abs=TOLERANCE)


# --- the corpus ---------------------------------------------------------------------------------------------------


def texts(**fields):
    return [document.text for document in Formal(**fields).documents()]


def test_a_document_is_a_string_with_a_word_for_each_symbol():
    first, *_ = Formal(language="L3", strings=3, min_length=4, max_length=5).documents()
    assert (first.text, first.source, first.line) == ("a a b b", "L3", 1)


def test_lengths_come_equally_often_and_the_seed_decides():
    found = texts(language="L1", strings=100, max_length=10)
    assert Counter(map(len, found)) == {2 * length - 1: 10 for length in range(1, 11) if split_of("b") == "train" or length > 1}
    assert found == texts(language="L1", strings=100, max_length=10) != texts(language="L1", strings=100, max_length=10, seed=1)


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.disjoint])
def test_parts_share_no_string(name):
    splits = [set(texts(language=name, strings=300, min_length=3, max_length=9, split=split)) for split in ("train", "dev", "test")]
    assert all(splits) and not (splits[0] & splits[1] or splits[0] & splits[2] or splits[1] & splits[2])


@pytest.mark.parametrize("name", ["L3", "L5"])
def test_where_a_length_has_one_string_all_parts_have_it(name):
    assert len({tuple(sorted(set(texts(language=name, strings=60, split=split)))) for split in ("train", "dev", "test")}) == 1


def test_parts_are_eight_one_and_one_tenths():
    count = Counter(split_of(f"{number}") for number in range(10_000))
    assert [round(count[split] / 1000) for split in ("train", "dev", "test")] == [8, 1, 1]


def test_a_part_without_strings_is_an_error():
    with pytest.raises(OntogenyError, match="no string of 1 to 1 symbols in its split"):
        for split in ("train", "dev", "test"):  # one string, "b": two splits have none
            texts(language="L1", max_length=1, split=split, strings=1)
    with pytest.raises(OntogenyError, match=r"L5 has no string of 4 to 5 symbols; its lengths are 3, 6, 9"):
        next(drawn(source("L5"), 4, 5, "train", Random(0)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"language": "L33"}, "did you mean 'L3'"),
        ({"language": "partiy"}, "did you mean 'parity'"),
        ({"language": "L5", "max_length": 2}, "leaves no string: L5 has none of 1 to 2 symbols; its lengths are 3, 6, 9"),
        ({"language": "L3", "rho": 0.5}, "rho and neutral are the language cue's"),
        ({"language": "cue", "rho": 1.5}, "a share from 0 to 1"),
        ({"language": "cue", "rho": [{"until": 0.5, "rho": 1}]}, "the last must end at 1"),
    ],
)
def test_what_cannot_be_drawn_is_said(fields, message):
    with pytest.raises(ValueError, match=message):
        Formal.model_validate(fields)


def test_a_change_of_the_code_that_draws_other_strings_raises_its_version():
    """Runs know their text by it: whoever sees other letters here raises DRAWN, and keeps the new ones."""
    tasks = ("parity", "even-pairs", "cycle-navigation", "reverse-string", "stack-manipulation", "bucket-sort")
    languages = ("L1", "L2", "L3", "L4", "L5", "L6", "cue", *tasks)
    corpora = [Formal(language=name, strings=20, max_length=12, seed=3) for name in languages]
    texts = [document.text for one in corpora for document in one.documents()]
    assert (DRAWN, hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]) == ("1", "e6925c141d6a7d83")


def test_the_fingerprint_changes_with_every_field():
    one = Formal(language="L1")
    assert one.fingerprint() == Formal(language="L1").fingerprint()
    assert len({split.fingerprint() for split in (one, Formal(language="L2"), Formal(language="L1", seed=1))}) == 3
    assert isinstance(one, Part)


# --- cue ----------------------------------------------------------------------------------------------------------


def sides(found):
    """How often the neighbour bets right, wrong and not."""
    right = {"A": "pqr", "B": "stu"}
    return Counter("neutral" if t[-3] in "klm" else "right" if t[-3] in right[t[-1]] else "wrong" for t in found)


def test_the_neighbour_bets_right_in_a_share_rho():
    found = texts(language="cue", strings=4000, min_length=5, max_length=9, rho=0.7, neutral=0.2)
    count = sides(found)
    assert count["neutral"] / 4000 == pytest.approx(0.2, abs=0.025)
    assert count["right"] / (count["right"] + count["wrong"]) == pytest.approx(0.7, abs=0.03)


def test_rho_may_turn_in_the_course_of_the_corpus():
    found = texts(
        language="cue", strings=1000, min_length=5, max_length=9, rho=[{"until": 0.3, "rho": 1}, {"until": 1, "rho": 0}], neutral=0
    )
    assert sides(found[:300]) == {"right": 300} and sides(found[300:]) == {"wrong": 700}


def test_cues_prompts_bet_right_within_and_wrong_without():
    cue = source("cue")
    for kind, prompts in zip(("right", "wrong"), cue.prompts(6), strict=True):
        finished = [" ".join(prompt + {"a": "A", "b": "B"}[prompt[0]]) for prompt in prompts]
        assert set(sides(finished)) == {kind} and {len(prompt) for prompt in prompts} == {6}


def test_the_page_s_example_runs():
    page = Path(__file__).parents[2] / "docs" / "formal-languages.md"
    (block,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(compile(block, str(page), "exec"), {})
