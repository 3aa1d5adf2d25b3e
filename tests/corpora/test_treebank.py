"""Treebanks: where each word stands in its sentence, and what is said of a line that is broken."""

import pytest

from ontogeny.corpora.treebank import NONE, sentences
from ontogeny.records import OntogenyError


def line(number, form, *rest, head="0", upos="X", features=NONE, relation="dep", misc=NONE):
    return "\t".join([str(number), form, "_", upos, "_", features, head, relation, "_", misc])


def written(folder, *texts, name="a.conllu"):
    (folder / name).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


def read(path):
    return list(sentences(path, "treebank"))


def test_words_stand_where_they_were_written(tmp_path):
    (found,) = read(
        written(
            tmp_path,
            "# a comment",
            line(1, "Dogs", head="3", upos="NOUN", features="Case=Nom|Number=Plur", relation="nsubj"),
            "2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No",
            line(2, "do", head="3"),
            line(3, "n't"),
            "3.1\tgone\t_\t_\t_\t_\t_\t_\t_\t_",
            line(4, ".", head="3"),
        )
    )
    assert found.text == "Dogs don't." and found.place.endswith("a.conllu:2")
    assert [found.text[word.start : word.end] for word in found.words] == ["Dogs", "do", "n't", "."]
    assert [word.head for word in found.words] == [3, 3, 0, 3]
    assert [found.words[0].feature(name) for name in ("Number", "Case", "Tense")] == ["Plur", "Nom", NONE]


def test_words_of_a_contraction_that_spell_otherwise_have_all_of_it(tmp_path):
    (found,) = read(
        written(tmp_path, line(1, "à"), "2-3\tdu\t_\t_\t_\t_\t_\t_\t_\t_", line(2, "de"), line(3, "le"), line(4, "lit"))
    )
    assert found.text == "à du lit"
    assert [found.text[word.start : word.end] for word in found.words] == ["à", "du", "du", "lit"]


def test_a_folder_is_read_in_the_order_of_its_files(tmp_path):
    written(tmp_path, line(1, "two"), name="b.conllu")
    written(tmp_path, line(1, "one"), "", line(1, "more"), name="a.conllu")
    written(tmp_path, "no treebank", name="README")
    assert [one.text for one in read(tmp_path)] == ["one", "more", "two"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1\tThe\tthe"], r"a\.conllu:1: a word of CoNLL-U has 10 columns between tabs, this line has 3"),
        ([line("one", "The")], r"a\.conllu:1: a word of CoNLL-U begins with its number"),
        ([line(1, "a"), line(3, "b")], r"a\.conllu:2: word 3 stands where word 2 of the sentence is expected"),
        ([line(1, "a", head="2")], r"a\.conllu:1: the head of a word is the number of a word of its sentence \(0 to 1\), not '2'"),
        ([line(1, "a", head="root")], r"not 'root'"),
        ([line(1, " ")], r"a\.conllu:1: a word of CoNLL-U has its form in the second column"),
    ],
)
def test_a_broken_line_is_named(tmp_path, lines, said):
    with pytest.raises(OntogenyError, match=said):
        read(written(tmp_path, *lines))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(OntogenyError, match=r"treebank: .*gone does not exist"):
        read(tmp_path / "gone")
    with pytest.raises(OntogenyError, match=r"treebank: no file in .* ends in \.conllu or \.conllu\.gz"):
        read(tmp_path)
