import math
from collections import Counter

import polars as pl
import pytest

from ontogeny.evidence.audit import audit, shortcuts, summary
from ontogeny.evidence.guides import Guides
from ontogeny.evidence.variety import WORD
from ontogeny.records import OntogenyError
from ontogeny.suites.blimp import BLiMP
from ontogeny.suites.contrast import contrast

NOUNS = ("cat", "dog", "boy", "girl", "bird", "horse", "mother", "father", "teacher", "doctor", "baker", "farmer", "king", "queen")
COUNTS = {"The": 500, "the": 500, ".": 900, "him": 80, "himself": 9, "sees": 50, "that": 90} | dict.fromkeys(NOUNS, 20)


def paradigm(name, sentences):
    return [(name, str(i), good, bad, "binding", contrast(good, bad)) for i, (good, bad) in enumerate(sentences)]


def pairs(*paradigms):
    return pl.DataFrame(
        [row for rows in paradigms for row in rows],
        schema=["paradigm", "pair", "good", "bad", "phenomenon", "contrast"],
        orient="row",
    )


def margins(pairs, counts, orders=(1, 2), levels=("word",), suite="tiny"):
    """Margins of an add-one unigram, at every order asked for."""
    total = sum(counts.values())
    rows = []
    for name, pair, good, bad in pairs.select("paradigm", "pair", "good", "bad").iter_rows():
        ours, theirs = Counter(WORD.findall(good)), Counter(WORD.findall(bad))
        apart = {word: ours[word] - theirs[word] for word in ours | theirs}
        margin = math.fsum(n * math.log((counts.get(word, 0) + 1) / (total + 1e5)) for word, n in sorted(apart.items()))
        rows += [(suite, name, pair, level, order, margin, ours.total(), theirs.total()) for level in levels for order in orders]
    columns = ["suite", "paradigm", "pair", "level", "order", "margin", "length_good", "length_bad"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def pronouns():
    return paradigm("pronoun", [(f"The {noun} sees him.", f"The {noun} sees himself.") for noun in NOUNS])


def shorter():
    return paradigm(
        "short", [(f"The {noun} sees.", f"The {noun} sees {other}.") for noun, other in zip(NOUNS, NOUNS[::-1], strict=True)]
    )


def moved():
    neighbours = zip(NOUNS, NOUNS[1:] + NOUNS[:1], strict=True)
    return paradigm("moved", [(f"The {noun} sees the {other}.", f"The {noun} the {other} sees.") for noun, other in neighbours])


def world():
    suite = pairs(pronouns(), shorter(), moved())
    return {
        "pairs": suite,
        "identical": {"moved": 2},
        "margins": margins(suite, COUNTS),
        "counts": COUNTS,
        "human": {"pronoun": 0.98},
        "thresholds": Guides(templates=1),  # each paradigm here has one template
    }


def row(frame, name):
    return frame.row(by_predicate=pl.col("paradigm") == name, named=True)


def test_a_tiny_suite_with_known_answers():
    got = audit(**world())
    assert got["paradigm"].to_list() == ["moved", "pronoun", "short"] and set(got["suite"]) == {"tiny"}
    moved, pronoun, short = got.iter_rows(named=True)
    assert (moved["verdict"], moved["identical"], moved["human"], moved["best_shortcut"]) == ("meaningful guide", 2, None, None)
    assert moved["notes"] == ["2 pairs with identical sentences left out"]
    assert (moved["word_unigram"], moved["word_length"], moved["word_unequal"]) == (0.5, 0.5, 0)  # ties are a half
    assert (moved["contrasts"], moved["one_sided"], moved["capitals"]) == (14, 0.5, 0)

    assert (pronoun["verdict"], pronoun["human"], pronoun["best_shortcut"]) == ("poor guide", 0.98, "word unigram")
    assert (pronoun["contrasts"], pronoun["effective_contrasts"], pronoun["one_sided"]) == (1, 1, 1)
    assert pronoun["flaws"] == ["n-grams", "few contrasts", "one-sided"] and pronoun["phenomenon"] == "binding"

    assert (short["word_length"], short["word_unequal"], short["word_bigram_equal_length"]) == (1, 1, None)
    assert short["flaws"] == ["n-grams", "length"]


def test_counting_wins_where_only_some_lengths_differ():
    sentences = [("a b", "a b c"), ("a b", "a c b"), ("a b", "a c"), ("a b c", "a b")]
    suite = pairs(paradigm("p", sentences))
    got = shortcuts(margins(suite, {"a": 1})).row(0, named=True)
    assert (got["word_length"], got["word_unequal"]) == ((1 + 1 + 0.5 + 0) / 4, 3 / 4)
    assert got["word_bigram_equal_length"] == 0.5  # b and c are equally frequent: a tie


def test_every_order_and_both_levels_get_a_column():
    suite = pairs(pronouns())
    both = margins(suite, COUNTS, orders=(5, 2, 1, 3), levels=("word", "token"))
    both = both.with_columns(length_bad=pl.col("length_bad") + (pl.col("level") == "token"))  # a token more
    got = audit(suite, {}, both, COUNTS, {}).row(0, named=True)
    named = [name for name in got if name.startswith(("word_", "token_"))]
    assert named == [
        f"{level}_{name}"
        for level in ("word", "token")
        for name in ("unigram", "bigram", "trigram", "5gram", "length", "unequal", "bigram_equal_length")
    ]
    assert (got["word_length"], got["token_length"], got["token_unequal"]) == (0.5, 1, 1)
    assert [reason.split(":")[0] for reason in got["reasons"][:3]] == [
        "solved by n-grams of words of every order", "solved by n-grams of tokens of every order", "solved by length"
    ]  # fmt: skip


def test_rounding_is_a_tie():
    suite = pairs(paradigm("p", [("a b", "a c")]))
    table = margins(suite, {"a": 1}).with_columns(margin=pl.Series([1e-13, -1e-13]))
    assert shortcuts(table).select("word_unigram", "word_bigram").row(0) == (0.5, 0.5)


def test_words_that_the_text_never_has():
    given = world()
    got = row(audit(**given | {"counts": {word: n for word, n in COUNTS.items() if word != "himself"}}), "pronoun")
    assert (got["critical_unseen"], got["pairs_with_unseen"], got["unseen"]) == (1, 1, 1 / 8)
    assert "100 % of pairs are told apart by a word that the training text never has" in got["reasons"]


def test_row_order_changes_nothing_and_thresholds_change_verdicts_alone():
    given = world()
    there = audit(**given)
    again = audit(**given | {"pairs": given["pairs"][::-1], "margins": given["margins"].sample(fraction=1, shuffle=True, seed=1)})
    assert again.equals(there)
    strict = audit(**given | {"thresholds": Guides(human=0.99, disputed=0.99)})
    judged = ["verdict", "reasons", "notes", "flaws"]
    assert strict.drop(judged).equals(there.drop(judged))
    assert "human agreement" in row(strict, "pronoun")["flaws"]


def test_the_summary_counts_every_verdict_and_flaw():
    counts = {(kind, name): n for _, kind, name, n, _ in summary(audit(**world())).iter_rows()}
    assert [counts["verdict", name] for name in ("meaningful guide", "guide with care", "poor guide")] == [1, 0, 2]
    assert (counts["flaw", "n-grams"], counts["flaw", "length"], counts["flaw", "human agreement"]) == (2, 1, 0)
    assert summary(audit(**world()))["share"][0] == pytest.approx(1 / 3)


def lacking(frame, name):
    return frame.filter(pl.col("paradigm") != name)


def refusal(**change):
    with pytest.raises(OntogenyError) as error:
        audit(**world() | change)
    return str(error.value)


def test_names_that_no_pair_has_get_the_nearest():
    assert refusal(human={"pronuon": 0.9}) == (
        "human agreement is given for 'pronuon', which has no pairs in this suite; did you mean 'pronoun'?"
    )
    assert refusal(identical={"short_": 1}) == (
        "identical pairs are counted for 'short_', which has no pairs in this suite; did you mean 'short'?"
    )


def test_numbers_out_of_range_are_named():
    assert "-1 identical pairs of short" in refusal(identical={"short": -1})
    assert refusal(human={"short": 98.0}) == "human agreement 98.0 of short is not from 0 to 1 (is this percent?)"
    assert refusal(human={"short": float("nan")}) == "human agreement nan of short is not from 0 to 1"
    assert "the training text has no words" in refusal(counts={})


def test_faulty_pairs_are_named():
    good = world()["pairs"]
    assert "no pairs to audit" in refusal(pairs=good.clear())
    assert "the pairs have no column 'contrast'" in refusal(pairs=good.drop("contrast"))
    assert "paradigm pronoun, pair 0 has two identical sentences" in refusal(pairs=good.with_columns(bad="good"))
    assert refusal(pairs=pl.concat([good, good[:1]])) == "2 rows for paradigm pronoun, pair 0"
    assert "one suite at a time" in refusal(pairs=good.with_columns(suite=pl.lit("other")))


def test_margins_that_are_not_of_these_pairs_are_named():
    given = world()
    others = given["pairs"].filter(pl.col("paradigm") != "moved")
    assert "order 1 at word level have 14 pairs that the suite has not, first paradigm moved" in refusal(pairs=others, identical={})
    table = given["margins"]
    absent = refusal(margins=table.filter(pl.col("paradigm") != "short"))
    assert "the margins of order 1 at word level lack the paradigm short" in absent
    assert refusal(margins=table[:-1]) == "the margins of order 2 at word level lack 1 of 42 pairs, first paradigm moved, pair 13"


def test_faulty_margins_are_named():
    table = world()["margins"]
    assert "the margins have no rows" in refusal(margins=table.clear())
    assert "no column 'margin'; did you mean 'margn'?" in refusal(margins=table.rename({"margin": "margn"}))
    assert "lack the bigram model at word level" in refusal(margins=table.filter(order=1))
    assert "levels are word and token" in refusal(margins=table.with_columns(level=pl.lit("words")))
    assert "order 6: levels are word and token, orders 1 to 5" in refusal(margins=table.with_columns(order=pl.col("order") + 4))
    no_number = refusal(margins=table.with_columns(margin=pl.lit(None, pl.Float64)))
    assert no_number == "paradigm pronoun, pair 0: a margin is no number, or a length is missing"
    assert "2 rows for paradigm pronoun, pair 0, level word, order 1" in refusal(margins=pl.concat([table, table[:1]]))


@pytest.mark.real
def test_blimp_against_a_small_text(real_data):
    text = (real_data / "corpora" / "babylm_like" / "train_10M" / "onestop_english.txt").read_text(encoding="utf-8")
    counts = Counter(WORD.findall(text))
    chosen = (
        "principle_A_case_1",
        "animate_subject_trans",
        "drop_argument",
        "intransitive",
        "adjunct_island",
        "left_branch_island_echo_question",
    )
    blimp = BLiMP(path=real_data / "suites" / "blimp", paradigms=chosen)
    suite = pairs([(p.paradigm, p.pair, p.good, p.bad, p.phenomenon, contrast(p.good, p.bad)) for p in blimp.pairs()])
    got = audit(suite, {}, margins(suite, counts), counts, blimp.human())
    case_1 = row(got, "principle_A_case_1")
    assert case_1["verdict"] == "poor guide" and case_1["reasons"][0].startswith(
        "solved by n-grams of words of every order: unigram 100 %"
    )
    assert case_1["contrasts"] == 3
    by_length = {name for name in chosen if "length" in row(got, name)["flaws"]}
    assert by_length == {"animate_subject_trans", "drop_argument", "intransitive"}
    assert not {"n-grams", "length", "one-sided", "few contrasts"} & set(row(got, "adjunct_island")["flaws"])
    assert row(got, "left_branch_island_echo_question")["capitals"] > 0.9  # Whose, whose: no word of it differs
