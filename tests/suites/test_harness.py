"""Tasks of lm-evaluation-harness have its own command's numbers, on local files; what needs generation is refused by name."""

import json
import math

import polars as pl
import pytest
import tiny
import torch

from ontogeny.readers.folders import asked_of
from ontogeny.records import OntogenyError
from ontogeny.scoring.options import chance
from ontogeny.scoring.reading import score_folder
from ontogeny.suites.harness import Harness
from ontogeny.trajectories import curve

lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
WORDS = "which of these is a b c d e f g h answer question : ?"
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "question : {{{{question}}}} ? answer :"
doc_to_target: {target}
metric_list: [{{metric: {metric}}}{more}]
"""
DOCS = [
    {"question": f"which of these is {a}", "choices": choices, "label": label, "says": " :" if label else " a b"}  # it writes :
    for a, choices, label in (
        ("a b", ["c", "d e", "f"], 0),
        ("b", ["a", "g"], 1),
        ("c c c", ["a b", "c d", "e f"], 2),
        ("h", ["h", "a", "b"], 1),
        ("a " * 30, ["g h", "a"], 0),  # longer than the model's context
    )
]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "docs.jsonl").write_text("\n".join(map(json.dumps, DOCS)))

    def task(name, kind, target, metric, further=""):
        more = {"multiple_choice": ", {metric: acc_norm}", "loglikelihood": ", {metric: perplexity}"}.get(kind, "")
        text = TASK.format(name=name, data=folder / "docs.jsonl", kind=kind, target=target, metric=metric, more=more)
        (folder / f"{name}.yaml").write_text(text + further)

    task("little_choice", "multiple_choice", "label", "acc", "doc_to_choice: choices\n")
    task("little_writing", "generate_until", "question", "exact_match")
    task("little_greedy", "loglikelihood", "says", "acc")
    task("little_rolling", "loglikelihood_rolling", "question", "word_perplexity")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    tokenizer = tiny.words(WORDS)
    return tiny.save(tiny.opt(len(tokenizer), 32, seed=7), tokenizer, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def theirs(tasks, folder):
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    return simple_evaluate(
        HFLM(pretrained=str(folder), device="cpu", batch_size=1),
        tasks=["little_choice", "little_greedy"],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
    )


def scored(task, tasks, folder):
    asked = asked_of(f"harness:task={task},include={tasks}", None)
    return score_folder(folder, asked, torch.device("cpu"), 2048, True, lambda sentences: None)[0]


def test_scores_are_those_of_its_own_command(theirs, tasks, folder):
    ours = scored("little_choice", tasks, folder)
    assert ours["pair"].to_list() == [str(number) for number in range(len(DOCS))] * 2
    by_sum = ours.filter(paradigm="little_choice")
    for sample, row, doc in zip(theirs["samples"]["little_choice"], by_sum.iter_rows(named=True), DOCS, strict=True):
        found = [response[0] for response in sample["filtered_resps"]]
        right = found.pop(doc["label"])
        assert row["logp_good"] == pytest.approx(right, abs=1e-4)
        assert [row["logp_bad"], row["logp_bad_2"]][: len(found)] == pytest.approx(found, abs=1e-4)
    accuracies = [theirs["results"]["little_choice"][metric] for metric in ("acc,none", "acc_norm,none")]
    assert curve(ours)["accuracy"].to_list() == pytest.approx(accuracies)
    of_each = ours.select(right=(pl.col("logp_good") > pl.max_horizontal("logp_bad", "logp_bad_2")).cast(float))["right"].to_list()
    told = [[sample[metric] for sample in theirs["samples"]["little_choice"]] for metric in ("acc", "acc_norm")]
    assert of_each == told[0] + told[1] and told[0] != told[1]


def test_texts_are_right_where_its_own_command_would_write_them(theirs, tasks, folder):
    ours, samples, told = (
        scored("little_greedy", tasks, folder),
        theirs["samples"]["little_greedy"],
        theirs["results"]["little_greedy"],
    )
    sums, written = zip(*[sample["filtered_resps"][0] for sample in samples], strict=True)
    assert ours["logp_good"].to_list() == pytest.approx(list(sums), abs=1e-4)
    assert (ours["logp_good"] > ours["logp_bad"]).to_list() == list(written) and {*written} == {True, False}
    found = curve(ours).row(0, named=True)
    assert found["accuracy"] == pytest.approx(told["acc,none"])
    assert math.exp(-found["logp_good"]) == pytest.approx(told["perplexity,none"], rel=1e-5)


def test_a_task_is_a_paradigm_of_its_choices(tasks):
    suite = Harness(task="little_choice", include=tasks, limit=2)
    first, second, normalised, _ = suite.pairs()
    assert normalised.paradigm == "little_choice-acc_norm" and normalised.predictions == ((3, -1, 0), (1, 0, -1))
    assert chance(normalised) == 1 / 3
    assert (suite.name, first.paradigm, first.pair) == ("harness-little_choice", "little_choice", "0")
    assert first.context == "question : which of these is a b ? answer :"
    assert (first.options, second.options) == ((" c", " d e", " f"), (" g", " a"))
    assert asked_of(f"harness:task=little_choice,include={tasks}", None).key != asked_of("micro-english", None).key


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("little_writing", "the task little_writing of lm-eval has the model generate text; tasks of several choices and of log-"),
        (
            "little_rolling",
            "the task little_rolling of lm-eval is the perplexity of whole texts, and has no right answer; tasks of",
        ),
    ],
)
def test_other_tasks_are_refused_by_name(tasks, task, told):
    with pytest.raises(OntogenyError, match=told):
        list(Harness(task=task, include=tasks).pairs())
