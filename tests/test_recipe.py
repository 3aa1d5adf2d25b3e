"""Recipes: read back as written, every mistake named with its line, settings laid over."""

import re

import pytest
import tiny

from ontogeny import recipe, yaml_text
from ontogeny.recipe import Recipe
from ontogeny.records import OntogenyError

RECIPE = """\
name: small
corpus:
  kind: text
  path: text.txt
tokenizer: word
model:
  kind: opt
  options: {dropout: 1e-1, layerdrop: 0}
suites:
  - kind: blimp
    path: blimp
  - micro-english
training:
  learning_rate: 1e-4
"""


def error(text, *settings):
    with pytest.raises(OntogenyError) as caught:
        recipe.parse(text, "r.yaml", settings)
    return str(caught.value)


def changed(old, new):
    assert old in RECIPE
    return RECIPE.replace(old, new)


def test_a_recipe_is_read_back_as_it_was_written(tmp_path):
    settings = ("seeds=[3, 1]", "dev.kind=micro-english", "verdicts.early=warmup", "training.warmup=7", "checkpoints.share=0.1")
    written = recipe.parse(RECIPE, settings=settings)
    file = tmp_path / "r.yaml"
    file.write_text(recipe.dump(written), encoding="utf-8")
    read = recipe.load(file)
    assert read == written
    assert recipe.dump(read) == recipe.dump(written)
    assert isinstance(read.training.warmup, int)  # 7 steps, which 7.0 would be as well, but a share is below 1


def test_an_observation_is_read_back_as_it_was_written():
    written = recipe.build(recipe.Observation, {"name": "o", "suites": ["micro-english"]}, "here")
    assert recipe.build(recipe.Observation, yaml_text.values(recipe.dump(written), "here"), "here") == written


def test_1e_4_is_a_number():
    read = recipe.parse(RECIPE)
    assert read.training.learning_rate == 0.0001
    assert read.model.options["dropout"] == 0.1
    assert recipe.parse(RECIPE, settings=["training.learning_rate=3e-5"]).training.learning_rate == 0.00003


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("name: small\n", "name: small\nsedes: [1]\n", 2, "sedes is not known here; did you mean 'seeds'?"),
        ("learning_rate", "lerning_rate", 14, "training.lerning_rate is not known here; did you mean 'learning_rate'?"),
        ("path: text.txt", "pth: text.txt", 4, "corpus.pth is not known here; did you mean 'path'?"),
        ("path: blimp", "pth: blimp", 11, "suites.0.pth is not known here; did you mean 'path'?"),
        ("kind: opt\n", "kind: opt\n  sizes: opt-1m\n", 8, "model.sizes is not known here; did you mean 'size'?"),
        ("kind: text", "kind: txt", 2, "corpus no corpus is called 'txt'; did you mean 'text'?"),
        ("kind: blimp", "kind: blmp", 10, "suites.0 no suite is called 'blmp'; did you mean 'blimp'?"),
        ("kind: blimp", "kind: 7", 10, "suites.0 no suite is called '7'; known: blimp"),
        ("tokenizer: word", "tokenizer: wrod", 5, "tokenizer no tokenizer is called 'wrod'; did you mean 'word'?"),
        ("kind: text\n  ", "", 2, "corpus needs a kind, one of: text, hub"),
        ("kind: blimp\n    path: blimp", "path: blimp", 10, "suites.0 needs a kind, one of: blimp"),
        ("tokenizer: word", "tokenizer: 5", 5, "(got 5)"),
        ("  learning_rate: 1e-4", "  batch: many", 14, "training.batch input should be a valid integer"),
        ("  learning_rate: 1e-4", "  batch: many", 14, "(got 'many')"),
        ("  learning_rate: 1e-4", "  batch: 0", 14, "training.batch input should be greater than or equal to 1 (got 0)"),
        ("  learning_rate: 1e-4", "  epochs: .inf", 14, "training.epochs input should be a finite number (got inf)"),
        ("  learning_rate: 1e-4", "  warmup: long", 14, "training.warmup input should be a valid number"),
        ("  learning_rate: 1e-4", "  schedule: cosin", 14, "'cosine' or 'inverse-sqrt' (got 'cosin')"),
        ("name: small", "name: a/b", 1, "(got 'a/b')"),
        ("name: small\n", "name: small\nseeds: [2, 2]\n", 2, "seeds has 2 twice"),
        ("- micro-english", "- {kind: blimp, path: elsewhere}", 9, "suites has blimp twice"),
        ("tokenizer: word\n", "tokenizer: word\ncheckpoints: {steps: [5]}\n", 6, "set kind: steps"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_the_nearest_word(old, new, line, said):
    found = [text for text in error(changed(old, new)).splitlines() if said in text]
    assert len(found) == 1
    assert found[0].startswith(f"r.yaml:{line}: ")


def test_a_mistake_in_an_entry_of_a_list_does_not_bring_another_about_the_list():
    assert error(changed("kind: blimp", "kind: blmp")).count("\n") == 0


def test_every_mistake_is_named():
    text = changed("learning_rate", "lerning_rate").replace("name: small", "nam: small")
    assert {line.split(": ")[1].split()[0] for line in error(text).splitlines()} == {"nam", "name", "training.lerning_rate"}


def test_a_missing_field_is_named():
    assert error(changed("  path: text.txt\n", "")) == "r.yaml:2: corpus.path is missing"
    assert error(changed("name: small\n", "")) == "r.yaml: name is missing"
    assert "suites.0.path is missing: the suite blimp is a folder or file of yours" in error("name: x\nsuites: [blimp]\n")


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("training.batch=64", lambda r: r.training.batch, 64),
        ("suites.0.path=elsewhere", lambda r: str(r.suites[0].path), "elsewhere"),
        ("suites.blimp.path=elsewhere", lambda r: str(r.suites[0].path), "elsewhere"),
        ("suites.micro-english.seed=5", lambda r: r.suites[1].seed, 5),
        ("suites.1.seed=5", lambda r: r.suites[1].seed, 5),
        ("suites.0=zorro", None, "path is missing"),
        ("suites=[micro-english]", lambda r: len(r.suites), 1),
        ("tokenizer.vocab_size=99", lambda r: (r.tokenizer.kind, r.tokenizer.vocab_size), ("word", 99)),
        ("tokenizer.kind=bpe", lambda r: r.tokenizer.kind, "bpe"),
        ("corpus.kind=micro-english", lambda r: r.corpus.kind, "micro-english"),  # `path` goes with the old kind
        ("corpus.kind=text", lambda r: str(r.corpus.path), "text.txt"),
        ("model.options.dropout=0.5", lambda r: r.model.options, {"dropout": 0.5, "layerdrop": 0}),
        ("verdicts.hi=0.6", lambda r: r.verdicts.hi, 0.6),
        ("dev=micro-english", lambda r: r.dev.kind, "micro-english"),
    ],
)
def test_a_setting_is_laid_over_the_file(setting, field, value):
    if field is None:
        assert value in error(RECIPE, setting)
    else:
        assert field(recipe.parse(RECIPE, settings=[setting])) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("data/my #1 folder", "data/my #1 folder"),
        ("*.train", "*.train"),
        ("&a b: @c", "&a b: @c"),
        ("!!bool maybe", "!!bool maybe"),
        ("2024-01-01", "2024-01-01"),
        ("say 'no'", "say 'no'"),
        ("'7 #1'", "7 #1"),
        ('"7"', "7"),
        (" 7 ", 7),
        ("1e-4", 0.0001),
        ("true", True),
        ("", None),
        ("[1, a #b]", "--set a=[1, a #b]:1: not valid YAML"),
        ("[1, {b: 2}]", [1, {"b": 2}]),
    ],
)
def test_a_settings_text_stays_what_it_is(text, value):
    raw = {}
    if isinstance(value, str) and value.startswith("--set"):
        with pytest.raises(OntogenyError, match=re.escape(value)):
            yaml_text.override(raw, f"a={text}")
    else:
        yaml_text.override(raw, f"a={text}")
        assert raw["a"] == value


def test_an_entry_of_a_list_of_numbers_is_named_by_its_place():
    assert recipe.parse("seeds: [1, 0]\n" + RECIPE, settings=["seeds.0=7"]).seeds == (7, 0)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.batch", "expected name=value, for example training.batch=64"),
        ("training.batch=[1", "not valid YAML"),
        ("suites.zorro.path=x", "no entry 'zorro' in this list; it has blimp, micro-english"),
        ("suites.2.path=x", "no entry '2' in this list"),
        ("training.bach=3", "training.bach is not known here; did you mean 'batch'?"),
        ("name.first=x", "name input should be a valid string"),
        ("suites.0.path.x=3", "suites.0.path"),
    ],
)
def test_a_bad_setting_is_named(setting, said):
    assert said in error(RECIPE, setting)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [1", "r.yaml:1: not valid YAML"),
        ("name: a\nname: b\n", "r.yaml:2: not valid YAML"),
        ("- name", "a recipe is a list of `name: value` lines"),
        ("", "a recipe is a list of `name: value` lines"),
        ("name: \x00", "not valid YAML"),
    ],
)
def test_what_is_no_recipe_is_said(text, said):
    assert said in error(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "good.yaml").write_text(RECIPE)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(OntogenyError, match=r"no recipe at .*god\.yaml; did you mean '.*good\.yaml'"):
        recipe.load(tmp_path / "god.yaml")
    with pytest.raises(OntogenyError, match="no recipe at"):
        recipe.load(tmp_path / "nowhere" / "r.yaml")
    with pytest.raises(OntogenyError, match=r"latin\.yaml is not UTF-8 at byte 9"):
        recipe.load(tmp_path / "latin.yaml")
    with pytest.raises(OntogenyError, match="cannot be read as a recipe"):
        recipe.load(tmp_path)


def test_a_part_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        recipe.parse(RECIPE).training.batch = 3


@pytest.mark.parametrize("part", [Recipe, recipe.Training, recipe.Schedule, recipe.Scoring, recipe.Thresholds])
def test_every_setting_says_what_it_means(part):
    assert [name for name, field in part.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    "setting",
    [
        "seeds=[true]",
        "seeds=[1.0]",
        "seeds=['1']",
        "seeds=[9223372036854775808]",
        "training.batch=2.5",
        "training.batch=true",
        "training.steps=1e2",
        "training.learning_rate=true",
        "training.betas=[0.9, 1.0]",
        "training.betas=[-0.1, 0.9]",
        "verdicts.seed=true",
        "corpus.words=2000.0",
        "suites.0.pairs_per_paradigm=true",
    ],
)
def test_what_is_no_number_of_its_kind_is_not_taken_for_one(setting):
    name = setting.split("=")[0]
    with pytest.raises(OntogenyError, match=rf"{name}(\.\d)? input should be .*\(got "):
        tiny.recipe(setting)


def test_whole_numbers_may_stand_for_others_and_bases_and_underscores_are_numbers():
    found = tiny.recipe("training.learning_rate=1", "training.dev_tokens=10_000", "seeds=[0x10]")
    assert (found.training.learning_rate, found.training.dev_tokens, found.seeds) == (1.0, 10_000, (16,))


@pytest.mark.parametrize(("warmup", "meant"), [("0.5", True), ("1", True), ("2.0", True), ("1.5", False), ("100.01", False)])
def test_a_warm_up_is_a_share_or_a_whole_number_of_steps(warmup, meant):
    if meant:
        assert tiny.recipe(f"training.warmup={warmup}").training.warmup == float(warmup)
    else:
        with pytest.raises(OntogenyError, match="a number of steps is whole, and a share of all steps is below 1"):
            tiny.recipe(f"training.warmup={warmup}")


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "2024-01-01", "[.nan]", "{deep: [2024-01-01]}", "{1: 2}"])
def test_options_that_would_be_written_down_as_something_else_are_refused(value):
    with pytest.raises(OntogenyError, match=r"recipe:\d+: model\.options has init_std: .*; a recipe keeps texts, finite numbers"):
        recipe.parse(tiny.RECIPE.replace("dropout: 0.1", f"init_std: {value}"))


def test_what_options_hold_is_read_back_the_same():
    kept = {"a": [1, 2.5, None, True], "b": "text", "c": {"d": [[]]}}
    found = tiny.recipe(f"model.options={kept}".replace("None", "null").replace("True", "true"))
    assert recipe.parse(recipe.dump(found)).model.options == kept


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("corpus={kind: micro-english, words: 1000000000000}", "corpus words is 1000000000000; at most 10,000,000,000"),
        ("corpus={kind: formal, language: L4, max_length: 1000000}", "corpus max_length is 1000000; at most 10,000"),
        ("suites=[{kind: formal, language: L4, pairs_per_paradigm: 10000000}]", "suites.0 pairs_per_paradigm is 10000000; at most"),
        ("interventions=[{kind: inject, lines: [a], times: 1000000000000}]", "interventions.0 times is 1000000000000; at most"),
        ("training.steps=1000000000000", "training.steps"),
        ("verdicts.swaps=1000000000", "verdicts.swaps"),
        ("name=" + "x" * 300, "name takes 300 bytes; a folder's name has at most 255"),
    ],
)
def test_what_would_never_end_or_fit_is_a_mistake(setting, said):
    assert said in error(RECIPE, setting)


def test_aliases_that_unfold_without_end_are_a_mistake():
    bomb = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n" + "".join(
        f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert "aliases (*name) stand for more than 1,000,000 values" in error(bomb + RECIPE)
    assert "r.yaml:1: within is not known here" in error("within: &within [*within]\n" + RECIPE)  # the parser ends it
    assert "r.yaml" in error("deep: " + "[" * 500 + "]" * 500 + "\n" + RECIPE)
    assert "few is not known here" in error("few: &few [a, b]\nagain: [*few, *few]\n" + RECIPE)


def test_names_of_runs_may_be_of_any_script_and_no_paths():
    assert recipe.parse(RECIPE, settings=["name=שלום~1"]).name == "שלום~1"
    for name in ("../up", "a/b", ".hidden", "-x", "~x"):
        assert "name string should match" in error(RECIPE, f"name={name}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: !!bool maybe\n", "r.yaml:2: not valid YAML ('maybe' is no bool that can be read)"),
        ("a: 1\n\nb: [" + "9" * 5000 + "]\n", "r.yaml:3: not valid YAML ('999"),
        ("a: 2024-13-45", "r.yaml:1: not valid YAML ('2024-13-45' is no timestamp that can be read)"),
        ("a: 1\nb: \0", "r.yaml:2: not valid YAML (special characters are not allowed)"),
        ("a: " + "[" * 500, "r.yaml: nested too deeply to be read"),
        ("a: &a [*a, " + "x, " * 9 + "]", "r.yaml: "),
        (tiny.RECIPE.replace("batch: 4", "batch: 1000000000"), "training asks for 16,000,000,000 tokens in a step"),
        (tiny.RECIPE.replace("seeds: [0, 1]", f"seeds: ['{'x' * 999}']"), "x ..."),
    ],
)
def test_yaml_that_cannot_be_read_is_named_with_its_line(text, said):
    assert said in error(text)
    assert len(error(text)) < 500


def test_a_recipe_that_cannot_be_read_as_text_is_named(tmp_path):
    latin, folder = tmp_path / "latin.yaml", tmp_path / "folder.yaml"
    latin.write_bytes("name: é".encode("latin-1"))
    folder.mkdir()
    for file, said in ((latin, "latin.yaml is not UTF-8 at byte 6"), (folder, "folder.yaml cannot be read as a recipe")):
        with pytest.raises(OntogenyError, match=said):
            recipe.load(file)


def test_instruments_come_as_a_list_or_with_a_schedule_and_are_written_as_they_came():
    plain, timed = (tiny.recipe(f"instruments={text}") for text in ("[reach]", "{read: [reach]}"))
    assert plain.instruments.at is None and yaml_text.values(recipe.dump(plain), "")["instruments"][0]["kind"] == "reach"
    assert timed.instruments.at.share == 0.1 and [one.name for one in timed.instruments] == ["reach"]
    assert recipe.parse(recipe.dump(timed)) == timed != plain == recipe.parse(recipe.dump(plain))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{reed: [reach]}", "instruments.reed is not known here; did you mean 'read'?"),
        ("{at: {shar: 1}}", "instruments.at.shar is not known here; did you mean 'share'?"),
        ("{read: [{kind: reach, pairz: 3}]}", "instruments.read.0.pairz is not known here; did you mean 'pairs'?"),
        ("[{kind: reach, pairz: 3}]", "instruments.0.pairz is not known here; did you mean 'pairs'?"),
    ],
)
def test_a_mistake_among_instruments_is_named_where_it_stands(text, said):
    with pytest.raises(OntogenyError, match=re.escape(said)):
        tiny.recipe(f"instruments={text}")


@pytest.mark.parametrize("kind", ["blimp", "ewok", "linzen", "syntaxgym", "table"])
def test_a_name_that_no_file_can_have_is_named_before_the_file_is_looked_for(kind):
    with pytest.raises(OntogenyError, match=r"path has a name of 401 bytes in it; no file's is longer than 255"):
        tiny.recipe(f"suites=[{{kind: {kind}, path: {'9' * 400}x}}]")
