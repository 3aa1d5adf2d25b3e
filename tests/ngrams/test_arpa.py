"""A model as an ARPA file: read again by KenLM, and line by line."""

import math
import re

import numpy as np
import pytest

from ontogeny.ngrams import arpa
from ontogeny.ngrams import index as indices
from ontogeny.ngrams.kneser_ney import KneserNey
from ontogeny.records import OntogenyError

BOS, UNKNOWN, NEVER = 2, 3, 11  # the last token of the vocabulary never occurs
NAMES = ["<s>", "<pad>", "</s>", "<unk>", "the", "Ġdog", '"', "né", "日", "a,b", "#", "never"]


def documents(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.choice(np.arange(4, NEVER), rng.integers(0, 7), p=np.arange(7, 0, -1) / 28).tolist() for _ in range(60)]


def fitted(folder, texts, order=5):
    ids = np.array([token for text in texts for token in (BOS, *text)], dtype=np.uint16)
    return KneserNey(indices.build(folder / "index", ids, len(NAMES), BOS, order=order))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("model"), documents())


def written(folder, model, order, names=NAMES, unknown=UNKNOWN):
    arpa.write(folder / "model.arpa", model, order, names, unknown)
    return folder / "model.arpa"


def read(path):
    """Declared sizes, and of each n-gram log10 of its probability and of its back-off weight."""
    sizes, entries, n = {}, {}, 0
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith("ngram "):
            length, size = line.removeprefix("ngram ").split("=")
            sizes[int(length)] = int(size)
        elif line.endswith("-grams:"):
            n = int(line[1:].removesuffix("-grams:"))
        elif "\t" in line:
            p, ngram, *weight = line.split("\t")
            words = tuple(ngram.split(" "))
            assert len(words) == n
            assert words not in entries
            entries[words] = (float(p), float(weight[0]) if weight else 0.0)
    return sizes, entries


def backed_off(entries, history, word):
    """log10 p(word | history) as any reader of the format has it."""
    word = word if (word,) in entries else "<unk>"
    if (*history, word) in entries:
        return entries[*history, word][0]
    return entries.get(history, (0.0, 0.0))[1] + backed_off(entries, history[1:], word)


def sentences():
    return [*documents(seed=1)[:40], [4, NEVER, 5], [NEVER], [], [UNKNOWN, 4]]


def logs(model, order, sentence):
    """log10 p of each token of a sentence and of its end."""
    return np.log10(model.probabilities(model.index.walk([[BOS, *sentence, BOS]]), order)[1:])


@pytest.mark.parametrize("order", [2, 3, 5])
def test_kenlm_reads_the_same_probabilities(tmp_path, model, order):
    import kenlm

    theirs = kenlm.Model(str(written(tmp_path, model, order)))
    assert theirs.order == order
    for sentence in sentences():
        text, expected = " ".join(NAMES[token] for token in sentence), logs(model, order, sentence)
        assert theirs.score(text, bos=True, eos=True) == pytest.approx(expected.sum(), abs=1e-5)
        assert theirs.score(text, bos=True, eos=False) == pytest.approx(expected[:-1].sum(), abs=1e-5)
        assert [p for p, _, _ in theirs.full_scores(text)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_line_by_line_it_is_the_model(tmp_path, model, order):
    sizes, entries = read(written(tmp_path, model, order))
    assert sizes == {n: sum(len(ngram) == n for ngram in entries) for n in range(1, order + 1)}
    assert [sizes[n] for n in range(2, order + 1)] == [len(level) for level in model.index.levels[1:order]]
    assert entries[("<s>",)][0] == arpa.NEVER
    assert all(weight == 0 for ngram, (_, weight) in entries.items() if ngram[-1] == "</s>")  # nothing follows it
    for sentence in sentences():
        words = ["<s>", *(NAMES[token] for token in sentence), "</s>"]
        found = [backed_off(entries, tuple(words[max(0, i - order + 1) : i]), words[i]) for i in range(1, len(words))]
        assert found == pytest.approx(logs(model, order, sentence), abs=1e-6)


def test_the_words_of_the_file_and_those_that_never_occur_sum_to_one(tmp_path, model):
    _, entries = read(written(tmp_path, model, 1))
    unseen = len(NAMES) - (len(entries) - 2)  # without <s> and <unk>
    known = sum(10**p for (word,), (p, _) in entries.items() if word not in ("<s>", "<unk>"))
    assert known + unseen * 10 ** entries[("<unk>",)][0] == pytest.approx(1)


def test_without_a_name_for_the_unknown_there_is_none(tmp_path, model):
    sizes, entries = read(written(tmp_path, model, 2, unknown=None))
    assert ("<unk>",) not in entries
    assert sizes[1] == len(model.index.levels[0]) + 1


def test_a_text_that_holds_the_unknown_has_it_once(tmp_path):
    model = fitted(tmp_path, [*documents(), [UNKNOWN, 4, UNKNOWN]])
    sizes, entries = read(written(tmp_path, model, 2))
    assert sizes[1] == sum(len(ngram) == 1 for ngram in entries) == len(model.index.levels[0]) + 1
    p = model.probabilities(model.index.walk([[UNKNOWN]]), 2)[0]
    assert entries[("<unk>",)][0] == pytest.approx(math.log10(p), abs=1e-6)


@pytest.mark.parametrize("name", ["two words", "tab\t", "", "the", " "])
def test_names_that_cannot_stand_in_the_file_are_refused(tmp_path, model, name):
    with pytest.raises(OntogenyError, match=re.escape(f"not so: {name!r}")):
        written(tmp_path, model, 2, [*NAMES[:-1], name])
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_holds_the_beginning_itself_is_refused(tmp_path):
    with pytest.raises(OntogenyError, match="a token <s> of its own"):
        written(tmp_path, fitted(tmp_path, [*documents(), [0, 4]]), 2)
    assert not (tmp_path / "model.arpa").exists()


def test_a_stream_without_documents_and_an_order_that_was_not_counted_are_refused(tmp_path, model):
    bare = KneserNey(indices.build(tmp_path / "index", np.array([4, 5, 4, 5]), len(NAMES), None))
    with pytest.raises(OntogenyError, match="this stream has no BOS"):
        written(tmp_path, bare, 2)
    with pytest.raises(OntogenyError, match="counted up to n = 5"):
        written(tmp_path, model, 6)
