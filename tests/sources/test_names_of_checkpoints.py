"""What a checkpoint's name tells: every way of naming that is known, and what is nobody's."""

import re
from pathlib import Path

import pytest

from ontogeny.records import OntogenyError
from ontogeny.sources.names import CLOCKS, FAMILIES, LARGEST, SCHEMES, parse, understand

M, B, T = 10**6, 10**9, 10**12
TOLD = {
    # the Trainer of transformers
    "checkpoint-500": ("checkpoint", {"step": 500}),
    "checkpoint_500": ("checkpoint", {"step": 500}),
    "checkpoint-500step": ("checkpoint", {"step": 500}),
    # Pythia, PolyPythias, SmolLM2, BLOOM, pico, ours
    "step0": ("step", {"step": 0}),
    "step143000": ("step", {"step": 143_000}),
    "step-125000": ("step", {"step": 125_000}),
    "step_1000": ("step", {"step": 1000}),
    "step-00000128": ("step", {"step": 128}),
    "global_step100000": ("step", {"step": 100_000}),
    "globalstep3": ("step", {"step": 3}),
    "Saving HF Model -- Step 1000": ("step", {"step": 1000}),
    # OLMo 1 and 2
    "step1000-tokens4B": ("step", {"step": 1000, "tokens": 4 * B}),
    "step1750000-tokens7652B": ("step", {"step": 1_750_000, "tokens": 7652 * B}),
    "stage1-step928646-tokens3896B": ("step", {"step": 928_646, "tokens": 3896 * B, "stage": 1}),
    "stage2-ingredient1-step11931-tokens50B": ("step", {"step": 11_931, "tokens": 50 * B, "stage": 2, "ingredient": 1}),
    "stage2-step1000-tokens2B": ("step", {"step": 1000, "tokens": 2 * B, "stage": 2}),
    # DataDecide
    "step1250-seed-default": ("step", {"step": 1250, "seed": 0}),
    "step1250-seed-large-aux-3": ("step", {"step": 1250, "seed": 3}),
    "step1250-seed-small-aux-2": ("step", {"step": 1250, "seed": 2}),
    # SmolLM3
    "stage1-step-40000": ("step", {"step": 40_000, "stage": 1}),
    "stage3-step-4720000": ("step", {"step": 4_720_000, "stage": 3}),
    # FineWeb's ablations
    "step-001000-2BT": ("step", {"step": 1000, "tokens": 2 * B}),
    # TinyLlama
    "step-50K-105B": ("step", {"step": 50_000, "tokens": 105 * B}),
    "TinyLlama-1.1B-step-50K-105b": ("step", {"step": 50_000, "tokens": 105 * B}),
    "TinyLlama-1.1B-intermediate-step-480k-1007B": ("step", {"step": 480_000, "tokens": 1007 * B}),
    "TinyLlama-1.1B-intermediate-step-480k-1T": ("step", {"step": 480_000, "tokens": T}),
    "TinyLlama-1.1B-intermediate-step-1195k-token-2.5T": ("step", {"step": 1_195_000, "tokens": 25 * T // 10}),
    # MultiBERTs
    "multiberts-seed_4-step_2000k": ("step", {"step": 2_000_000, "seed": 4}),
    "seed_0-step_20k": ("step", {"step": 20_000, "seed": 0}),
    # BabyLM
    "chck_1M": ("chck", {"words": M}),
    "chck_1000M": ("chck", {"words": B}),
    # LLM360: Amber, K2
    "ckpt_000": ("ckpt", {"ordinal": 0}),
    "ckpt_358": ("ckpt", {"ordinal": 358}),
    # RedPajama, B-GPT
    "240b_tokens": ("tokens", {"tokens": 240 * B}),
    "128000": ("number", {"step": 128_000}),
    # folders and repositories of seeds
    "seed-3": ("seed", {"seed": 3}),
    "seed_3": ("seed", {"seed": 3}),
    "pythia-14m-seed9": ("seed", {"seed": 9}),
    "pythia-160m-weight-seed2": ("seed", {"seed": 2}),
    "multiberts-seed_2": ("seed", {"seed": 2}),
}


def told(name):
    found = parse(name)
    kept = ("step", "tokens", "words", "ordinal", "seed", "stage", "ingredient")
    return found and (found.family, {key: value for key in kept if (value := getattr(found, key)) is not None})


@pytest.mark.parametrize("name", TOLD)
def test_every_known_way_of_naming_is_understood(name):
    assert told(name) == TOLD[name]


def test_every_line_of_the_table_is_tried_here():
    first = {name: next(scheme for scheme in SCHEMES if parse(name, [scheme])) for name in TOLD}
    assert set(first.values()) == set(SCHEMES)


@pytest.mark.parametrize("size", [*range(1, 10), *range(10, 101, 10), *range(200, 1001, 100)])
def test_all_of_babylms_checkpoints_count_words(size):
    assert (parse(f"chck_{size}M").clock, parse(f"chck_{size}M").at) == ("words", size * M)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "main",
            "final",
            "tokenizer",
            "step",
            "step1.5",
            "step-5-old",
            "mystep5",
            "step1000-tokens4",
            "step5-tokens2BB",
            "chck_10",
        ),
        *("checkpoint-", "checkpoint-best", "epoch_3", "", "step１０", "step1000\n", "12.5", "128k", "step" + "9" * 19),
        "step" + "9" * 18 + "k",
    ],
)
def test_other_names_are_not_understood(name):
    assert parse(name) is None


def test_numbers_fit_a_table():
    assert parse("step" + "9" * 18).step <= LARGEST
    assert parse("chck_9999999999B") is None


def test_bare_numbers_are_steps_where_every_name_but_main_is_one():
    assert {name: found.step for name, found in understand(["1000", "main", "2000"]).items()} == {"1000": 1000, "2000": 2000}
    assert set(understand(["1000", "step5", "2000"])) == {"step5"}
    assert understand(["1000", "2000", "best"]) == {}
    assert set(understand(["1000", "step5", "best"], ["number"])) == {"1000"}


def test_families_and_patterns_choose():
    names = ["step5", "checkpoint-10", "chck_1M", "iter_7", "words-5K", "run3-step9"]
    assert set(understand(names, ["step"])) == {"step5"}
    assert set(understand(names, ["step", "checkpoint"])) == {"step5", "checkpoint-10"}
    assert understand(names, ["iter_{step}"])["iter_7"].step == 7
    assert understand(names, ["words-{words}"])["words-5K"].words == 5000
    assert understand(["saw1000"], ["saw(?P<words>[0-9]+)"])["saw1000"].words == 1000
    own = understand(names, [r"run{seed}-step{step}"])["run3-step9"]
    assert (own.seed, own.step, own.clock) == (3, 9, "step")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("steps", r"--names steps: no such names; did you mean 'step'\?; or a pattern of your own: 'iter_\{step\}'"),
        ("seed-{seed}", "--names seed-{seed}: no such names"),
        ("(?P<run>.)-{step}", r"--names .*: nothing is called 'run'; known: step, tokens"),
        ("(step{step}", r"--names \(step\{step\}: not a regular expression with \{step\}"),
        ("{step}-{step}", "not a regular expression .* once each"),
    ],
)
def test_a_choice_that_cannot_be_is_named(wanted, said):
    with pytest.raises(OntogenyError, match=said):
        understand(["step5"], [wanted])


def test_the_docs_name_every_family_and_examples_that_are_understood():
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    table = next(part for part in page.split("\n\n") if part.startswith("| family |"))
    rows = [[re.findall("`([^`]+)`", cell) for cell in line.split("|")[1:3]] for line in table.splitlines()[2:]]
    family = ""
    for named, examples in rows:
        family = named[0] if named else family
        assert {parse(name).family for name in examples} == {family}
    assert {named[0] for named, _ in rows if named} == set(FAMILIES)


def test_a_family_has_one_clock():
    """What --names takes together counts the same."""
    for family in FAMILIES:
        clocks = {parse(name).clock for name in TOLD if parse(name).family == family}
        assert len(clocks) == 1
        assert clocks <= set(CLOCKS)
