"""Reading times whose cause is known, and what surprisals tell of them beside plain regressions."""

import numpy as np
import pytest
import tiny

from ontogeny.instruments.asked import Reads, after, in_texts
from ontogeny.instruments.reading import ReadingTimes, clustered, explained, products, read_table
from ontogeny.records import OntogenyError

WORDS = ("a", "bb", "ccc", "dddd")


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return read_table(tiny.reading_times(tmp_path_factory.mktemp("reading"), WORDS, many=60))


def drawn(words, seed=1):
    return np.random.default_rng(seed).gamma(2.0, 3.0, sum(len(text.split()) for text in words.sentences))


def r2(y, design):
    left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - left @ left / ((y - y.mean()) @ (y - y.mean()))


def test_times_made_of_surprisal_and_noise_are_explained_and_others_are_not(words):
    surprisal = drawn(words)
    times = 5 * surprisal[words.at] + np.random.default_rng(2).normal(size=len(words.at))
    found = explained(words, "eye", times[:, None], surprisal, 200)
    assert found.r2 > 99 and found.slope == pytest.approx(5, abs=0.1) and found.slope - 5 < 3 * found.error
    other = explained(words, "eye", words.measures["eye"], surprisal, 500)
    assert other.r2 < 3 and 0.3 < other.random < 3  # 95 % of chi squared on one degree over n
    assert other.random == pytest.approx(100 * 3.84 / found.n, rel=0.6)


def test_partial_r2_likelihood_and_errors_are_those_of_plain_regressions(words):
    surprisal, y = drawn(words), words.measures["self-paced"][:, 0]
    found = explained(words, "self-paced", y[:, None], surprisal, 0)
    own = words.place > 1
    columns = np.column_stack([words.baseline, words.before, surprisal[words.at - 1]])[own]
    base, x = products(columns), surprisal[words.at][own]
    both = np.column_stack([base, x])
    without, whole = r2(y[own], base), r2(y[own], both)
    assert found.r2 == pytest.approx(100 * (whole - without) / (1 - without), rel=1e-5)
    assert found.base == pytest.approx(without) and found.n == own.sum() and found.missing == (~own).sum()
    assert found.delta == pytest.approx(found.n / 2 * np.log((1 - without) / (1 - whole)), rel=1e-5)
    bread = np.linalg.pinv(both.T @ both)
    beta = bread @ both.T @ y[own]
    parts = [both[words.sentence[own] == g] * (y[own] - both @ beta)[words.sentence[own] == g, None] for g in range(60)]
    meat = sum(np.outer(part.sum(0), part.sum(0)) for part in parts if len(part))
    n, k, g = len(x), both.shape[1], len(set(words.sentence[own]))
    error = np.sqrt((bread @ meat @ bread)[-1, -1] * g / (g - 1) * (n - 1) / (n - k))
    assert (found.slope, found.error) == pytest.approx((beta[-1], error), rel=1e-4)


def test_errors_by_sentence_are_larger_where_sentences_share_theirs():
    rng = np.random.default_rng(0)
    shared, x = np.repeat(rng.normal(size=50), 20), np.repeat(rng.normal(size=50), 20)
    together, alone = (clustered(x, shared, groups, 1)[1] for groups in (np.repeat(np.arange(50), 20), np.arange(1000)))
    assert together > 3 * alone


def test_a_predictor_without_variance_says_nothing(words):
    assert explained(words, "eye", words.measures["eye"], np.ones(400), 20)[:6] == (None,) * 6


def test_a_words_surprisal_has_its_space_and_no_punctuation_and_babylm_has_it_the_other_way():
    from ontogeny.tokens.trained import Byte

    tokenizer = Byte().make(tiny.documents("the dog, a cat."))
    how = Reads(tokenizer, tokenizer.bos_token_id)
    asked = in_texts(["the dog, a"], how)
    size = len(asked.sentences[0]) - 1
    assert asked.surprisals(-np.ones(size)).tolist() == [3, 4, 2]  # " dog" without its comma
    theirs = after(["", "the", "the dog,"], ["the", "dog,", "a"], how, space=False)
    assert theirs.surprisals(-np.ones(sum(theirs.sentences.lengths))).tolist() == [3, 4, 1]
    assert [tokenizer.decode(theirs.sentences[i], skip_special_tokens=True) for i in range(3)].count("thedog,") == 1
    short = Reads(tokenizer, tokenizer.bos_token_id, limit=4)
    assert np.isnan(in_texts(["the dog", "a"], short).surprisals(np.zeros(1))).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("context_length", "place", "reading.csv:1: no column 'context_length'"),
        (",bb,1,", ",xx,1,", r"reading.csv:\d+: the word 'xx' does not stand after 1 words"),
        (",bb,1,", ",bb,one,", "does not stand after one words"),
        (",bb,1,", ",bb,1,often", r"reading.csv:\d+: Subtlex_log10 is 'often\d.*' and no number"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, old, new, said):
    path = tiny.reading_times(tmp_path, WORDS, many=20)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(OntogenyError, match=said):
        read_table(path)


def test_words_that_lack_a_number_are_counted(tmp_path):
    path = tiny.reading_times(tmp_path, WORDS, many=20)
    lines = path.read_text().splitlines()
    lines[5] = ",".join([*lines[5].split(",")[:3], "NA", *lines[5].split(",")[4:]])
    path.write_text("\n".join(lines))
    found = read_table(path)
    assert explained(found, "eye", found.measures["eye"], drawn(found), 0).missing == 1


def test_without_a_table_it_says_how_to_give_one():
    with pytest.raises(OntogenyError, match=r"was given none: ontogeny read RUN --with reading --set table=FILE"):
        ReadingTimes().contents()
