"""Plans kept in a run's folder: tokenised once, never those of another suite, tokenizer or setting."""

from contextlib import nullcontext

import polars as pl
import pytest
import tiny
import torch

from ontogeny import disk, recipe, store
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.report.sections import _unknown
from ontogeny.scoring import plan
from ontogeny.scoring.reading import CheckpointReader, OpenedCheckpoint, ask
from ontogeny.store import RunFolder
from ontogeny.suites.table import Table


@pytest.fixture
def asked(tmp_path):
    def make(*rows):
        file = tmp_path / "own.csv"
        file.write_text("paradigm,good,bad\n" + "".join(f"p,{good},{bad}\n" for good, bad in rows))
        return ask(Table(path=file), None)

    return make


PAIRS = (("a b c", "a c b"), ("a b", "b zebra"))


@pytest.fixture
def checkpoint(tmp_path):
    tokenizer = tiny.words("a b c d")
    return tiny.save(tiny.opt(len(tokenizer)), tokenizer, tmp_path / "model"), tokenizer


def observation(path, *settings):
    base = {"name": "o", "suites": [{"kind": "table", "path": str(path)}]}
    return recipe.build(recipe.Observation, base | dict(settings), "here")


def plan_of(tmp_path, asked, checkpoint, *settings, context=None):
    folder, tokenizer = checkpoint
    run = RunFolder(tmp_path / "run")
    run.note(kind="trained")
    reader = CheckpointReader(run, observation(tmp_path / "own.csv", *settings), [asked], "cpu", context)
    return reader.plan(asked, tokenizer, folder, tiny.opt(len(tokenizer)))


def kept(tmp_path):
    return sorted((tmp_path / "run" / "suites" / "tokens").glob("*.parquet"))


def fail(*args):
    raise AssertionError("tokenised again")


def test_a_suite_is_tokenised_once_for_all_processes(tmp_path, asked, checkpoint, monkeypatch):
    suite = asked(*PAIRS)
    first = plan_of(tmp_path, suite, checkpoint)
    assert first.sentences.rows == plan.make(suite.pairs, checkpoint[1], 2, 16).sentences.rows
    assert first.unknown == 1
    monkeypatch.setattr(plan, "tokenise", fail)
    again = plan_of(tmp_path, suite, checkpoint)  # a reader of its own, as in another process
    assert (again.sentences.rows, again.pairs, again.unknown) == (first.sentences.rows, first.pairs, first.unknown)
    assert (again.good.tolist(), again.bad.tolist()) == (first.good.tolist(), first.bad.tolist())
    shorter = plan_of(tmp_path, suite, checkpoint, context=2)  # what fits is the model's matter, not the tokenizer's
    assert len(shorter.too_long) == 1
    assert len(kept(tmp_path)) == 1
    assert RunFolder(tmp_path / "run").suites() == []  # no suite of its own


def test_another_suite_tokenizer_or_setting_is_tokenised_anew(tmp_path, asked, checkpoint):
    suite = asked(*PAIRS)
    plan_of(tmp_path, suite, checkpoint)
    plan_of(tmp_path, suite, checkpoint, ("bos", False))
    plan_of(tmp_path, suite, checkpoint, ("scoring", {"leading_space": True}))
    assert len(kept(tmp_path)) == 3
    changed = asked(PAIRS[0], ("a b", "b d"))
    assert plan_of(tmp_path, changed, checkpoint).unknown == 0
    tokenizer = tiny.words("a b c zebra")
    folder = tiny.save(tiny.opt(len(tokenizer)), tokenizer, tmp_path / "other")
    assert plan_of(tmp_path, asked(*PAIRS), (folder, tokenizer)).unknown == 0
    assert len(kept(tmp_path)) == 5


def test_a_table_of_other_pairs_or_a_broken_one_is_refused(tmp_path, asked, checkpoint):
    suite = asked(*PAIRS)
    plan_of(tmp_path, suite, checkpoint)
    (path,) = kept(tmp_path)
    disk.write_table(path, disk.read_table(path).with_columns(pair=pl.lit("other")))
    with pytest.raises(OntogenyError, match="does not hold the pairs of own; delete it and it is made again"):
        plan_of(tmp_path, suite, checkpoint)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(OntogenyError, match="delete it and it is made again"):
        plan_of(tmp_path, suite, checkpoint)


def read_by(tmp_path, suite, folder, *settings):
    """Reads a checkpoint with a reader of its own."""
    run = RunFolder(tmp_path / "run")
    cpu = torch.device("cpu")
    reader = CheckpointReader(run, observation(tmp_path / "own.csv", *settings), [suite], cpu, None)
    opened = OpenedCheckpoint(folder, cpu)
    reader.read(0, Checkpoint(8, folder), opened, [suite], lambda title, n: nullcontext(lambda sentences: None))
    return run


def test_the_page_and_the_lineage_name_the_sentences_with_most_unknown_tokens(tmp_path, asked, checkpoint):
    facts = read_by(tmp_path, asked(*PAIRS), checkpoint[0]).lineage()["suites"]["own"]
    assert (facts["unknown_tokens"], facts["unknown_sentences"]) == (1, 1)
    assert facts["unknown_worst"] == [{"sentence": "b zebra", "unknown": 1}]
    assert _unknown(facts) == ["1 sentence with tokens that the tokenizer does not know; most in: “b zebra” (1)."]
    assert _unknown({}) == _unknown({"unknown_sentences": 0, "unknown_worst": []}) == []


def test_a_number_that_is_none_names_the_sentence_and_the_checkpoint(tmp_path, asked):
    tokenizer = tiny.words("a b c d")
    model = tiny.opt(len(tokenizer), tie_word_embeddings=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("d")] = float("nan")
    folder = tiny.save(model, tokenizer, tmp_path / "step-00000008")
    with pytest.raises(OntogenyError, match=r"step-00000008: .*no.* finite number, in 'd c' \(paradigm p, pair 2\)"):
        read_by(tmp_path, asked(("a b", "b a"), ("d c", "c a")), folder)
    assert not (tmp_path / "run" / "seed-0" / "scores").exists()  # no table of what could not be read


def test_a_tokenizer_without_bos_is_named_and_read_without(tmp_path, asked, checkpoint):
    folder, tokenizer = checkpoint
    tokenizer.bos_token = tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    suite = asked(("a b c", "a c b"), ("a b", "b d"))
    with pytest.raises(OntogenyError, match="neither a BOS nor an EOS token; give it one, or set bos: false"):
        read_by(tmp_path, suite, folder)
    run = read_by(tmp_path, suite, folder, ("bos", False))
    assert disk.read_table(run.scores(0, "own", 8))["tokens_good"].to_list() == [2, 1]  # the first is not scored


def test_scores_made_otherwise_are_other_scores():
    keys = {
        store.score_key("pairs", bos, space, precision, metric)
        for bos in (1, 0)
        for space in (1, 0)
        for precision in ("float32", "bfloat16")
        for metric in ("within-word", "original")
    }
    assert len(keys) == 16
    assert store.score_key("pairs", True) == disk.content_key("pairs", True)  # as before there were other ways


def test_a_leading_space_is_seen_by_tokenizers_that_see_it():
    from ontogeny.tokens.trained import BPE

    tokenizer = BPE(vocab_size=270).make(tiny.documents("a dog and a cat", "dogs and cats"))
    pairs = tiny.pairs(("dog and", "dog cat"))
    plain, spaced = (plan.make(pairs, tokenizer, None, 99, leading_space=space) for space in (False, True))
    assert [tokenizer.decode(s) for s in spaced.sentences] != [tokenizer.decode(s) for s in plain.sentences] or (
        tokenizer.backend_tokenizer.pre_tokenizer.add_prefix_space
    )
    assert [tokenizer.decode(s).strip() for s in spaced.sentences] == [tokenizer.decode(s).strip() for s in plain.sentences]


def test_a_run_says_which_way_it_was_read(finished_run):
    suites = RunFolder(finished_run).lineage()["suites"]
    assert {facts["way"] for facts in suites.values()} == {"trees of prefixes, hidden states"}


def test_what_a_person_should_hear_of_pairs_is_told_and_kept(asked):
    suite = asked(("a b", "b a"), (" a b", "b a c"), ("a a", "a a"))
    assert suite.told == [
        "1 pairs with identical sentences are left out (p); the first is pair 3 of p",
        "1 pairs have sentences that begin or end with a space, which is scored with them",
    ]
    assert suite.facts()["outer_spaces"] == 1 and "without_words" not in suite.facts()
    assert asked(("a b", "b a")).told == []
    unspaced = asked(("猫看见了猫。", "猫了看见猫。"))
    assert unspaced.facts()["without_words"].startswith("own: its words are not told by spaces (5.0 characters each")
