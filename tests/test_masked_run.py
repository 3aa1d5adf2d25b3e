"""A run of a masked model, from text to evidence: its metric is a setting, and what is not defined for it is said and left out."""

import pytest
import tiny

from ontogeny import disk
from ontogeny.laboratory import Run
from ontogeny.records import OntogenyError

SIZE = "{hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2}"
MODEL = f"{{kind: bert, size: bert-1m, options: {SIZE}}}"
SUITE = "own"
PAIRS = """paradigm,good,bad
agreement,the dog sees the cats,the dog see the cats
agreement,the dogs see the cat,the dogs sees the cat
agreement,a cat sleeps,a cat sleep
order,the dog sees the cat,the sees dog the cat
order,a cat sleeps,cat a sleeps
order,the dogs see a cat,the see dogs a cat
"""


def recipe(folder, *settings):
    """A tokenizer that cuts words into parts, so that the two metrics differ."""
    (folder / "own.csv").write_text(PAIRS, encoding="utf-8")
    own = (f"model={MODEL}", "seeds=[0]", "training.steps=4", "checkpoints.steps=[1, 2]", "tokenizer={kind: bpe, vocab_size: 270}")
    return tiny.recipe(*own, f"suites=[{{kind: table, path: {folder / 'own.csv'}}}]", "corpus.words=500", *settings)


@pytest.fixture(scope="module")
def masked_run(tmp_path_factory):
    """The folder of a run that was scored with the metric that is not the default."""
    folder = tmp_path_factory.mktemp("runs")
    run = Run.begin(recipe(folder, "scoring.masked=original"), folder)
    run.train()
    return run.folder.path


def test_the_metric_is_the_recipes_and_another_asks_for_other_scores(masked_run):
    run = Run(masked_run)
    run.judge()
    table = run.folder.scores(0, SUITE, 4)
    before = disk.read_table(table)
    assert run.folder.lineage()["suites"][SUITE]["way"].startswith("masked, original, ")
    other = Run.begin(recipe(masked_run.parent), masked_run.parent)
    with pytest.raises(OntogenyError, match="was scored on other pairs, or otherwise, than the recipe has now"):
        other.judge()
    other.score()
    other.judge()
    assert other.folder.lineage()["suites"][SUITE]["way"].startswith("masked, within-word, ")
    assert disk.read_table(table)["logp_good"].to_list() != before["logp_good"].to_list()


def test_its_evidence_is_there_but_for_the_distance(masked_run):
    heard = tiny.Heard()
    run = Run(masked_run, heard)
    run.judge()
    run.examine(2)
    there = {file.stem for file in (masked_run / "evidence").iterdir()}
    assert {"margins", "ladder", "rungs", "foretold", "matched"} <= there
    said = "distance reads causal language models, and this is a masked one"
    assert [line for line in heard.said if "masked" in line] == [said]  # once, not at every checkpoint
    assert run.reading("distance").collect().is_empty() and run.fold("distance") == {}
    assert f"{said}." in run.results.notes()
    assert set(run.evidence("ladder")["step"]) == set(run.reading("reliance").collect()["step"]) == {0, 1, 2, 4}
