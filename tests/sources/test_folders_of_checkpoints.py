"""Checkpoints in folders: found in order of one clock, and everything else listed."""

import pytest
import tiny
from checkpoint_folders import folders, found, left, steps

from ontogeny import sources
from ontogeny.records import OntogenyError
from ontogeny.sources.folders import BARE, BESIDE, CLOSED, EMPTY, NO_FOLDER, NO_MODEL, NO_MOMENT, NOT_ASKED, OTHER_SEED


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["checkpoint-500", "checkpoint-1000", "checkpoint-90"], [(90, None), (500, None), (1000, None)]),
        (["step0", "step1000", "step512"], [(0, None), (512, None), (1000, None)]),
        (["step-00000128", "step-00000002"], [(2, None), (128, None)]),
        (["global_step20", "globalstep3"], [(3, None), (20, None)]),
        (["chck_10M", "chck_1M", "chck_1B", "chck_500K"], [(n, float(n)) for n in (500_000, 1_000_000, 10_000_000, 10**9)]),
    ],
)
def test_folders_of_well_known_trainers_are_found_in_order(tmp_path, names, expected):
    assert found(folders(tmp_path, *names, "tokenizer", ".cache")) == {0: expected}


def test_folders_of_seeds_are_found(tmp_path):
    folders(tmp_path, "seed-1/step10", "seed-1/step2", "seed_3/step10")
    assert found(tmp_path) == {1: [(2, None), (10, None)], 3: [(10, None)]}
    folders(tmp_path / "suite", "pythia-14m-seed1/step10", "pythia-14m-seed2/step10")
    assert found(tmp_path / "suite") == {1: [(10, None)], 2: [(10, None)]}


def test_our_own_layout_is_found(finished_run):
    assert found(finished_run) == {seed: [(step, None) for step in tiny.TRAINED] for seed in (0, 1)}
    assert left(finished_run) == {}


def test_a_single_model_is_one_checkpoint(tmp_path):
    assert found(folders(tmp_path, "my-model") / "my-model") == {0: [(1, None)]}
    assert found(folders(tmp_path, "checkpoint-70") / "checkpoint-70") == {0: [(70, None)]}
    assert found(folders(tmp_path, "step0") / "step0") == {0: [(0, None)]}
    alone = sources.find(tmp_path / "my-model")
    assert alone.warnings() == [f"the name of {tmp_path / 'my-model'} tells no moment of training; it stands at step 1"]


def test_the_folder_one_stands_in_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(folders(tmp_path, "step8") / "step8")
    assert steps(tmp_path.__class__()) == [(8, None)]


def test_checkpoints_inside_a_models_folder_are_found(tmp_path):
    """The Trainer of transformers leaves the last model beside its checkpoints."""
    folders(tmp_path, "out", "out/checkpoint-5", "out/checkpoint-10")
    assert found(tmp_path / "out") == {0: [(5, None), (10, None)]}
    assert left(tmp_path / "out") == {"out itself": BESIDE}


# --- one clock a run


def mixed(root):
    folders(root, "step0", "step1000", "checkpoint-10", "chck_1M", "chck_5M", "final", "best", "epoch_3", "iter_9", "ckpt-old")
    (root / "logs").mkdir()
    return root


def test_several_clocks_are_an_error_that_lists_each_and_what_is_left(tmp_path):
    with pytest.raises(OntogenyError) as error:
        sources.find(mixed(tmp_path))
    assert str(error.value).splitlines() == [
        f"{tmp_path} has checkpoints under 3 kinds of names, and a run has one clock:",
        "  step: 2 by optimiser steps: step0, step1000",
        "  checkpoint: 1 by optimiser steps: checkpoint-10",
        "  chck: 2 by words seen: chck_1M, chck_5M",
        "say which to take: --names step (--names step --names checkpoint if they are of one training); or give each kind a "
        "folder of its own, or list folders and steps in a table",
        f"not taken, {NO_MOMENT}: best, ckpt-old, epoch_3, final, iter_9",
        f"not taken, {NO_MODEL}: logs",
    ]


def test_one_kind_of_names_can_be_chosen_and_the_others_are_listed(tmp_path):
    mixed(tmp_path)
    assert found(tmp_path, "chck") == {0: [(1_000_000, 1e6), (5_000_000, 5e6)]}
    assert found(tmp_path, "step", "checkpoint") == {0: [(0, None), (10, None), (1000, None)]}
    assert found(tmp_path, "iter_{step}") == {0: [(9, None)]}
    assert left(tmp_path, "step") == {
        **dict.fromkeys(("checkpoint-10", "chck_1M", "chck_5M"), NOT_ASKED),
        **dict.fromkeys(("final", "best", "epoch_3", "iter_9", "ckpt-old"), NO_MOMENT),
        "logs": NO_MODEL,
    }
    with pytest.raises(OntogenyError, match=r"2 kinds of names, and a run has one clock:\n  step: 2 .*\n  chck: 2 by words seen"):
        sources.find(tmp_path, ["step", "chck"])
    (tmp_path / "config.json").touch()  # the last model, which is none of those asked for
    with pytest.raises(OntogenyError, match=rf"(?s)no checkpoints in .* called ckpt .*\nnot taken, {NO_MOMENT}: best, "):
        sources.find(tmp_path, ["ckpt"])


def test_seeds_have_one_clock_too(tmp_path):
    folders(tmp_path, "seed-0/step10", "seed-1/chck_1M")
    with pytest.raises(OntogenyError, match=r"(?s)2 kinds of names.*step: 1 by .*: seed-0/step10.*chck: 1 by .*: seed-1/chck_1M"):
        sources.find(tmp_path)


def test_steps_and_tokens_of_one_name_are_one_clock(tmp_path):
    folders(tmp_path, "step0", "step1000-tokens4B", "stage1-step2000-tokens8B")
    assert steps(tmp_path) == [(0, None), (1000, 4 * 10**9), (2000, 8 * 10**9)]


def test_what_stands_in_for_steps_is_said(tmp_path):
    said = "names of checkpoints tell no optimiser steps; in place of steps stand "
    for name, clock in {"chck_1M": "words seen", "240b_tokens": "tokens seen", "ckpt_007": "checkpoints, in their order"}.items():
        assert sources.find(folders(tmp_path / name, name)).warnings() == [said + clock]
    assert sources.find(folders(tmp_path / "steps", "step5")).warnings() == []


def test_bare_numbers_are_steps_where_there_is_nothing_else(tmp_path):
    assert steps(folders(tmp_path, "1000", "2000")) == [(1000, None), (2000, None)]
    folders(tmp_path, "step7")
    assert steps(tmp_path) == [(7, None)]
    assert left(tmp_path) == {"1000": BARE, "2000": BARE}


# --- nothing is dropped without a word


def test_what_is_not_taken_is_listed_with_the_reason(tmp_path):
    folders(tmp_path, "step5", "best", ".cache", "step9")
    (tmp_path / "step9" / "config.json").unlink()
    (tmp_path / "step10.zip").touch()
    (tmp_path / "step11").symlink_to("gone")
    (tmp_path / "README.md").touch()
    nowhere = dict.fromkeys(("step10.zip", "step11"), NO_FOLDER)
    assert left(tmp_path) == {"best": NO_MOMENT, ".cache": NO_MOMENT, "step9": NO_MODEL, **nowhere}
    assert sources.find(tmp_path).warnings() == [
        f"not taken, {NO_MOMENT}: .cache, best",
        f"not taken, {NO_FOLDER}: step10.zip, step11",
        f"not taken, {NO_MODEL}: step9",
    ]
    assert sources.find(tmp_path).lineage() == {
        "checkpoints": 1,
        "names": ["step"],
        "clock": "step",
        "notes": [],
        "not_understood": [
            f".cache ({NO_MOMENT})",
            f"best ({NO_MOMENT})",
            f"step10.zip ({NO_FOLDER})",
            f"step11 ({NO_FOLDER})",
            f"step9 ({NO_MODEL})",
        ],
    }


def test_what_lies_in_and_beside_folders_of_seeds_is_listed(tmp_path):
    folders(tmp_path, "seed-0/step5", "seed-0/final", "seed-2/multiberts-seed_3-step_1k", "step9", "seed-4", "suite")
    folders(tmp_path, "old-seed-0-runs/step5")
    (tmp_path / "seed-1").mkdir()
    (tmp_path / "logs").mkdir()
    assert found(tmp_path) == {0: [(5, None)]}
    assert left(tmp_path) == {
        "old-seed-0-runs": BESIDE,
        "seed-0/final": NO_MOMENT,
        "seed-1": EMPTY,
        "seed-2": EMPTY,
        "seed-2/multiberts-seed_3-step_1k": OTHER_SEED,
        "seed-4": EMPTY,
        "step9": BESIDE,
        "suite": BESIDE,
    }


def test_folders_of_seeds_that_hold_nothing_hide_no_checkpoints(tmp_path):
    folders(tmp_path, "checkpoint-5")
    (tmp_path / "seed-3" / "wandb").mkdir(parents=True)
    assert found(tmp_path) == {0: [(5, None)]}
    assert left(tmp_path) == {"seed-3": EMPTY, "seed-3/wandb": NO_MODEL}


def test_a_folder_called_checkpoints_is_looked_into_and_others_beside_it_are_listed(tmp_path):
    folders(tmp_path, "checkpoints/step5", "checkpoints/old", "step9")
    (tmp_path / "scores").mkdir()
    assert found(tmp_path) == {0: [(5, None)]}
    assert left(tmp_path) == {"checkpoints/old": NO_MOMENT, "step9": BESIDE}


def test_two_folders_of_one_seed_are_named(tmp_path):
    folders(tmp_path, "seed-1/step5", "seed_01/step6")
    with pytest.raises(OntogenyError, match=r"seed-1 and .*seed_01 are both for seed 1"):
        sources.find(tmp_path)


def test_a_long_list_is_cut_on_the_screen_and_whole_in_the_lineage(tmp_path):
    sources_found = sources.find(folders(tmp_path, "step5", *(f"model-{i:02d}x" for i in range(20))))
    assert sources_found.warnings()[0].endswith("model-07x and 12 more")
    assert len(sources_found.lineage()["not_understood"]) == 20


# --- order


def test_names_may_tell_the_seed(tmp_path):
    folders(tmp_path, "step0-seed-default", "step0-seed-large-aux-2", "step10-seed-default")
    assert found(tmp_path) == {0: [(0, None), (10, None)], 2: [(0, None)]}


def test_two_names_of_one_step_are_an_error(tmp_path):
    with pytest.raises(OntogenyError, match=r"two checkpoints at step 5: .*step(-0)?5 and .*step(-0)?5"):
        sources.find(folders(tmp_path, "step5", "step-05"))


def test_steps_and_tokens_must_grow_together(tmp_path):
    folders(tmp_path, "step1-tokens2B", "step2-tokens2B", "step3-tokens9B", "step4-tokens8B")
    with pytest.raises(
        OntogenyError,
        match=r"steps and tokens must grow together: .*step3-tokens9B is at step 3 and 9,000,000,000 tokens, "
        r".*step4-tokens8B at step 4 and 8,000,000,000",
    ):
        sources.find(tmp_path)


def test_a_stage_that_counts_anew_is_put_behind_the_one_before(tmp_path):
    folders(tmp_path, "stage1-step10-tokens1B", "step40-tokens4B")
    folders(tmp_path, *(f"stage2-ingredient1-step{step}-tokens{tokens}B" for step, tokens in ((5, 1), (9, 2))))
    assert steps(tmp_path) == [(10, 10**9), (40, 4 * 10**9), (45, 5 * 10**9), (49, 6 * 10**9)]
    assert sources.find(tmp_path).warnings() == ["stage 2 of seed 0 counts anew and is put behind the checkpoint at step 40"]
    folders(tmp_path, "stage2-ingredient2-step9-tokens2B")
    with pytest.raises(OntogenyError, match=r"stage 2 has 2 ingredients, which are branches of a tree .* take one: --names"):
        sources.find(tmp_path)
    assert steps(tmp_path, "stage{stage}-(ingredient2-)?step{step}-tokens{tokens}") == [(10, 10**9), (19, 3 * 10**9)]


def test_steps_that_go_on_from_stage_to_stage_stay(tmp_path):
    assert steps(folders(tmp_path, "stage1-step-40000", "stage2-step-80000")) == [(40_000, None), (80_000, None)]


# --- nothing there


def test_what_holds_no_checkpoints_is_said_with_what_it_holds(tmp_path):
    with pytest.raises(OntogenyError, match="nowhere does not exist"):
        sources.find(tmp_path / "nowhere")
    with pytest.raises(OntogenyError, match=r"no checkpoints in .*expected folders .*it holds nothing"):
        sources.find(tmp_path)
    (tmp_path / "step5").mkdir()  # no config.json
    (tmp_path / "notes.txt").touch()
    with pytest.raises(OntogenyError, match=r"no checkpoints in .*it holds notes\.txt, step5"):
        sources.find(tmp_path)
    with pytest.raises(OntogenyError, match=r"notes\.txt: a table of checkpoints is \.csv or \.tsv"):
        sources.find(tmp_path / "notes.txt")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def denied(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(tmp_path.__class__, "iterdir", denied)
    with pytest.raises(OntogenyError, match=rf"{tmp_path} cannot be read \(Permission denied\)"):
        sources.find(tmp_path)


def test_a_checkpoint_that_may_not_be_read_is_listed(tmp_path, monkeypatch):
    folders(tmp_path, "step5", "step6")
    monkeypatch.setattr("os.access", lambda path, mode: path.name != "step6")
    assert left(tmp_path) == {"step6": CLOSED}


def test_a_path_is_no_pattern(tmp_path):
    folders(tmp_path, "runs[1]/step5", "runs1/step6")
    assert found(tmp_path / "runs[1]") == {0: [(5, None)]}
