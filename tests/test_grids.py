"""A grid's recipes: every combination, each with a name of its own."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny import recipe as recipes
from ontogeny import yaml_text
from ontogeny.commands import sweeps
from ontogeny.display import Display
from ontogeny.grids import expand
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder
from ontogeny.work.local import Local

BASE = """
name: study
corpus: {kind: formal, language: L1}
dev: {kind: formal, language: L1, split: dev}
tokenizer: word
model: opt
suites: [{kind: formal, language: L1}]
instruments: [{kind: rules, language: L1}]
"""
LANGUAGE = """
grid:
  language:
    set: [corpus.language, dev.language, suites.formal.language, instruments.rules.language]
    to: [L3, L5]
  model: [opt, {kind: lstm, size: lstm-1m}]
"""


def made(text):
    return expand(yaml_text.values(BASE + text, "grid.yaml"), "grid.yaml")


def test_every_combination_is_a_recipe_of_its_own():
    found = [recipes.build(recipes.Recipe, raw, "grid.yaml") for raw in made(LANGUAGE)]
    assert [recipe.name for recipe in found] == ["study-L3-opt", "study-L3-lstm", "study-L5-opt", "study-L5-lstm"]
    assert [recipe.model.kind for recipe in found] == ["opt", "lstm", "opt", "lstm"]
    for recipe in found:
        parts = (recipe.corpus, recipe.dev, recipe.suites[0], recipe.instruments[0])
        assert {part.language for part in parts} == {recipe.name.split("-")[1]}


def test_an_axis_sets_the_place_of_its_name():
    found = made("seeds: [0]\ngrid: {training.batch: [8, 16], training.learning_rate: [1e-3]}")
    assert [(raw["name"], raw["training"]["batch"]) for raw in found] == [("study-8-0.001", 8), ("study-16-0.001", 16)]


def test_values_may_have_names_and_cases_places_of_their_own():
    text = """
grid:
  size: {set: training.batch, to: {small: 4, large: 64}}
  length: {cases: {short: {corpus.max_length: 8, training.context: 16}, long: {corpus.max_length: 100}}}
"""
    found = {raw["name"]: raw for raw in made(text)}
    assert set(found) == {"study-small-short", "study-small-long", "study-large-short", "study-large-long"}
    assert found["study-large-short"]["training"] == {"batch": 64, "context": 16}
    assert found["study-small-long"]["corpus"]["max_length"] == 100 and "context" not in found["study-small-long"]["training"]


def test_without_a_grid_there_is_one_recipe():
    (raw,) = made("")
    assert raw["name"] == "study"


def test_the_file_s_own_values_stay_as_they_are():
    raw = yaml_text.values(BASE + LANGUAGE, "grid.yaml")
    expand(raw)
    assert raw["corpus"]["language"] == "L1" and "grid" in raw


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_there_are_as_many_as_combinations_and_no_two_alike(sizes):
    raw = {"name": "g", "grid": {f"training.x{axis}": list(range(size)) for axis, size in enumerate(sizes)}}
    found = expand(raw)
    expected = 1
    for size in sizes:
        expected *= size
    assert len(found) == len({one["name"] for one in found}) == len({str(one["training"]) for one in found}) == expected


def test_a_mistake_in_what_is_common_keeps_its_line():
    raw = made("training: {bach: 8}" + LANGUAGE)[0]
    with pytest.raises(OntogenyError, match=r"grid.yaml:9: training.bach is not known here; did you mean 'batch'"):
        recipes.build(recipes.Recipe, raw, "grid.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: []", "grid is a list of axes"),
        ("grid: {model: opt}", "grid.model is 'opt'; expected"),
        ("grid: {model: []}", "grid.model sets nothing"),
        ("grid: {x: {sett: [model], to: [opt]}}", "grid.x.sett is not known here; did you mean 'set'"),
        ("grid: {model: [opt, opt]}", "grid.model has two values called opt; name them"),
        ("grid: {model: [opt], other: {set: [model], to: [lstm]}}", "grid.other and grid.model both set model"),
        ("grid: {corpus.path: [a/b]}", "'a/b' cannot be part of a run's name; name the values"),
        ("grid: {x: {cases: [1]}}", "grid.x.cases stands alone and has, for each name, the places"),
        (
            "grid: {x: {set: seeds, to: {a-b: [0], a: [1]}}, y: {set: bos, to: {c: true, b-c: false}}}",
            "two runs called study-a-b-c",
        ),
        ("grid: {suites.blimp.path: [x]}", "no entry 'blimp' in this list"),
    ],
)
def test_what_a_grid_cannot_mean_is_said(text, message):
    with pytest.raises(OntogenyError, match=message):
        made(text)


def test_a_grid_needs_a_name():
    with pytest.raises(OntogenyError, match="name is missing"):
        expand({"grid": {"bos": [True]}})


def test_runs_that_are_there_say_nothing_of_the_time_left(tmp_path, monkeypatch):
    """Of four runs two are there: the bar of the others begins at two, and those that are there have a bar of their own."""
    todo = [recipes.build(recipes.Recipe, raw, "grid.yaml") for raw in made(LANGUAGE)]
    for recipe in todo[1:3]:
        sweeps.Run.begin(recipe, tmp_path)
        report = RunFolder(tmp_path / recipe.name).report
        report.parent.mkdir(parents=True)
        report.touch()
    bars, ran = [], []

    class Told(Display):
        @contextmanager
        def bar(self, title, total=None, unit="", begun=0):
            counted = []
            yield lambda n, note="": counted.append(n)
            bars.append((title, total, begun, sum(counted)))

    @contextmanager
    def opened(engine, places, display):
        assert len(places) == 2

        def submit(pieces, hear):
            for piece in pieces:
                assert piece.inputs == {"share": 2}
                ran.append(Path(piece.run).name)
                yield piece, {"done": "", "trouble": None}

        yield submit

    monkeypatch.setattr(Local, "opened", opened)
    paths = sweeps.run_all(todo, tmp_path, 2, Told())
    assert [path.name for path in paths] == [recipe.name for recipe in todo]
    assert bars == [("runs", 4, 2, 2), ("runs that were there", 2, 0, 2)]
    assert ran == ["study-L3-opt", "study-L5-lstm", "study-L3-lstm", "study-L5-opt"]


def test_a_grid_of_too_many_runs_or_of_names_that_differ_in_capitals_is_refused():
    axes = "".join(f"  a{n}: {{set: [training.place{n}], to: [{', '.join(map(str, range(10)))}]}}\n" for n in range(9))
    with pytest.raises(OntogenyError, match="grid makes 1,000,000,000 runs, more than 10,000"):
        made(f"grid:\n{axes}")
    with pytest.raises(OntogenyError, match="grid makes two runs called study-A, or so but for capitals"):
        made("grid: {one: {set: [corpus.seed], to: {A: 1, a: 2}}}")
