"""What the chapter's captions say of hand-made tables."""

import polars as pl

from ontogeny.instruments import distance, reliance
from ontogeny.pages.orders import peaks
from ontogeny.pages.panel import Clock
from ontogeny.report import ngram_sentences as say
from ontogeny.report.foretelling import bigram_accuracies, corners, outcomes_of
from ontogeny.report.ladder import left_steps, rung_cells
from ontogeny.report.ngram_accuracy import overall

SPANS = pl.DataFrame({"window": ["untrained"], "start": [0.0], "end": [10.0]})


def frame(columns: str, *rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns.split(), orient="row")


# two seeds; unigrams are highest at step 1, which is untrained, then at 10; bigrams at 100
LADDER = frame(
    "seed step paradigm by level order r",
    *(
        (seed, step, "", "pairs", "token", order, r + seed * 0.02)
        for seed in (0, 1)
        for step, r1, r2 in ((1, 0.9, 0.1), (10, 0.8, 0.4), (100, 0.3, 0.6), (1000, 0.1, 0.5))
        for order, r in ((1, r1), (2, r2))
    ),
    (0, 1000, "", "pairs", "word", 1, 0.99),
)


def test_the_ladder_in_words() -> None:
    said = say.ladder_says(LADDER, SPANS)
    assert "most with the unigram model at step 10 (0.81) and with the bigram model at step 100 (0.61)" in said
    assert "The longer the model, the later its turn. " in said
    assert said.endswith("At the last checkpoint it agrees most with the bigram model (0.51).")


def test_turns_may_come_in_another_order() -> None:
    turned = LADDER.with_columns(order=3 - pl.col("order"))
    assert "do not come in the order of the models' length" in say.ladder_says(turned, SPANS)


def test_peaks_pass_over_untrained_checkpoints_and_what_is_undefined() -> None:
    assert peaks(LADDER.filter(level="token"), None)["step"].to_list() == [1, 100]
    holes = LADDER.filter(level="token").with_columns(r=pl.when(pl.col("step") == 100).then(None).otherwise("r"))
    assert peaks(holes, SPANS)["step"].to_list() == [10, 1000]


def test_the_distance_in_words() -> None:
    table = frame("seed step order level kl", (0, 10, 1, "token", 2.0), (0, 100, 1, "token", 3.0), (0, 10, 2, "token", 1.5))
    assert "the unigram model's at step 10 (2.00) and the bigram model's at step 10 (1.50)" in distance.says(
        {"distance": table}, Clock(spans=SPANS)
    )


def test_rungs_in_words() -> None:
    own = frame(
        "seed step paradigm by level order r",
        *[(0, 9, "a", "pairs", "token", order, r) for order, r in ((1, 0.2), (2, 0.7))],
        *[(0, 9, "b", "pairs", "token", order, r) for order, r in ((1, 0.1), (2, 0.05))],
        *[(0, 5, "a", "pairs", "token", order, r) for order, r in ((1, 0.6), (2, 0.5))],
        (0, 9, "", "pairs", "token", 1, 0.9),
    )
    rungs = frame("seed paradigm left_step", (0, "a", 9), (0, "b", None))
    said = say.rungs_say(own, rungs)
    assert "of 2 paradigms, 1 follows bigrams most and 1 follows none closely (correlations below 0.2)." in said
    assert said.endswith("1 has left the rung it was closest to.")
    cells = rung_cells(own, rungs)
    assert cells.filter(paradigm="a", step=5)["closest order"].item() == 1
    assert cells.filter("left").select("paradigm", "step").rows() == [("a", 9)]


def test_a_rung_is_left_when_half_of_the_seeds_have_left_it() -> None:
    rungs = frame("seed paradigm left_step", (0, "a", 50), (1, "a", None), (0, "b", None), (1, "b", None), (0, "c", 9), (1, "c", 7))
    assert dict(left_steps(rungs).iter_rows()) == {"a": 50, "b": None, "c": 7}
    assert dict(left_steps(rungs.vstack(frame("seed paradigm left_step", (2, "a", None)))).iter_rows())["a"] is None


COUNTS = {"wrong_and_wrong": 9, "wrong_and_right": 15, "right_and_wrong": 4, "right_and_right": 39}


def test_bigrams_and_outcomes_in_words() -> None:
    said = say.bigrams_say(COUNTS, {"odds_ratio": 5.71, "low": 1.4, "high": 28.2, "p_adjusted": 0.01})
    assert "The bigrams get 24 of 67 paradigms wrong" in said
    assert "Of these, 9 end wrong; of the other 43, 4." in said
    assert said.endswith("The odds of ending wrong are 5.7 times as high, 95 % interval 1.4 to 28.2.")
    assert say.bigrams_say(COUNTS, {"odds_ratio": 2.0, "low": 0.8, "high": 5.0, "p": 0.2}).endswith("to 5.0: undecided.")
    assert "ratio of the odds is infinite" in say.bigrams_say(
        COUNTS, {"odds_ratio": float("inf"), "low": 1.1, "high": float("inf")}
    )
    assert say.bigrams_say(COUNTS, None).endswith("of the other 43, 4.")


def test_corners_are_counted_from_verdicts() -> None:
    accuracies = frame("paradigm accuracy", ("a", 0.2), ("b", 0.5), ("c", 0.9), ("not judged", 0.4))
    verdicts = frame("paradigm verdict late_mean late_state hi", ("a", "entrenched", 0.3, -1, 0.55), ("b", "learned", 0.8, 1, 0.55))
    verdicts = verdicts.vstack(frame("paradigm verdict late_mean late_state hi", ("c", "late-wrong", 0.4, -1, 0.55)))
    found = outcomes_of(accuracies, pl.DataFrame(), verdicts)
    assert corners(found) == {"wrong_and_wrong": 1, "wrong_and_right": 0, "right_and_wrong": 1, "right_and_right": 1}
    assert found["edge"].round(6).unique().to_list() == [0.45]


def test_a_tie_of_the_bigrams_is_half_right() -> None:
    margins = frame(
        "paradigm pair level order margin", *[("a", str(i), "token", 2, m) for i, m in enumerate((1.0, 0.0, -1.0, -2.0))]
    )
    found = bigram_accuracies(margins, None)
    assert found is not None and found["accuracy"].to_list() == [0.375]
    assert bigram_accuracies(None, None) is None


def foretold(*rows: tuple[object, ...]) -> pl.DataFrame:
    return frame("question predictors auc low high positives negatives undecided", *rows)


CONTESTS = frame(
    "question first second difference low high verdict",
    ("ends wrong", "b", "u", 0.2, 0.1, 0.3, "better"),
    ("ends wrong", "b", "length", 0.1, -0.1, 0.3, "undecided"),
    ("ends wrong", "b", "early margin", -0.2, -0.3, -0.1, "worse"),
)


def test_the_answer() -> None:
    table = foretold(("ends wrong", "b", 0.76, 0.65, 0.86, 20, 47, False), ("stays wrong", "b", 0.7, 0.5, 0.9, 1, 12, True))
    (first, rest), (second, why) = say.answer(table, CONTESTS)
    assert first == "Yes, bigrams alone foretell what ends wrong."
    assert "in 76 of 100 cases (interval 65 to 86); a guess gives 50." in rest
    assert rest.endswith(
        "It does better than the unigram margin and worse than the network's early margin; "
        "between it and length the difference is undecided."
    )
    assert "Undecided: 1 paradigm stays wrong and 12 do not, and fewer than 8" in second
    assert why.endswith("a guess gives 50.")
    assert say.answer(None, CONTESTS) == []


def test_the_answer_no() -> None:
    ((short, _),) = say.answer(foretold(("ends wrong", "b", 0.55, 0.4, 0.7, 20, 47, False)), None)
    assert short == "No: bigrams alone do not reliably foretell what ends wrong."
    ((short, _),) = say.answer(foretold(("ends wrong", "b", 0.3, 0.2, 0.4, 20, 47, False)), None)
    assert "rather the reverse" in short


def test_the_best_predictor() -> None:
    table = foretold(
        ("ends wrong", "b", 0.6, 0.5, 0.7, 20, 47, False), ("ends wrong", "early margin", 0.8, 0.7, 0.9, 20, 47, False)
    )
    assert say.foretold_says(table) == "Here, what ends wrong is best foretold from the network's early margin, 0.80."


def test_reliance_in_words() -> None:
    rows = [(0, 1, "", "b", 0.9, 0.8), (0, 10, "", "b", 0.5, 0.4), (0, 100, "", "b", 0.2, 0.1), (0, 10, "a", "b", 0.99, 0.99)]
    table = frame("seed step paradigm predictor beta r2", *rows)
    said = reliance.says({"reliance": table}, Clock(spans=SPANS))
    assert "weighs most at step 10, 0.50" in said and "At the last checkpoint it weighs 0.20." in said
    assert "account for 40 % of the differences between pairs there, and for 10 % at the end." in said


def test_the_ngram_models_own_learning() -> None:
    counted = frame("step level order paradigm accuracy", *[(s, "token", 2, p, a) for s, a in ((0, 0.5), (9, 0.6)) for p in "ab"])
    curves = frame(
        "step paradigm accuracy seed", (0, "a", 0.5, 0), (0, "b", 0.4, 0), (9, "a", 0.9, 0), (9, "b", 0.7, 0), (12, "a", 1.0, 0)
    )
    assert overall(counted, curves).filter(order=2)["accuracy"].to_list() == [0.5, 0.6]
    said = say.ngrams_say(counted, curves)
    assert "By step 9 the bigram model gets 60.0 % of the pairs right; the network 80.0 %." in said
    assert said.endswith("It is lastingly ahead of the bigram model from step 9.")
    behind = curves.with_columns(accuracy=pl.lit(0.4))
    assert say.ngrams_say(counted, behind).endswith("The network is not ahead of the bigram model at the end.")


def test_matched_pairs_in_words() -> None:
    table = frame(
        "paradigm pairs difference low high p_adjusted",
        ("", 1200, 0.08, 0.05, 0.11, 0.001),
        ("a", 300, 0.2, 0.1, 0.3, 0.001),
        ("b", 300, -0.2, -0.3, -0.1, 0.001),
        ("c", 300, 0.01, -0.1, 0.12, 0.8),
        ("d", 4, None, None, None, None),
    )
    assert say.matched_says(table) == (
        "Among 1,200 pairs alike in unigrams and length, the network is right 8.0 points more often where the bigrams favour the "
        "good sentence (95 % interval 5.0 to 11.0). Of 3 paradigms with enough pairs to match, 1 shows it on its own and 1 the "
        "reverse. 1 paradigm had too few."
    )
