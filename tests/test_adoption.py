"""Checkpoints that somebody else trained: found, refused with a reason, and read as our own are."""

import shutil

import pytest
import tiny

from ontogeny import adoption, store
from ontogeny.display import QUIET
from ontogeny.laboratory import Run, suite_part
from ontogeny.records import OntogenyError
from ontogeny.store import RunFolder

SUITE = "micro-english"


def folders(root, *names):
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "config.json").write_text("{}")
    return root


def found(source):
    return {seed: [(c.step, c.words) for c in checkpoints] for seed, checkpoints in adoption.find(source).items()}


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


def test_our_own_layout_is_found(finished_run):
    assert found(finished_run) == {seed: [(step, None) for step in tiny.TRAINED] for seed in (0, 1)}


def test_a_single_model_is_one_checkpoint(tmp_path):
    assert found(folders(tmp_path, "my-model") / "my-model") == {0: [(1, None)]}
    assert found(folders(tmp_path, "checkpoint-70") / "checkpoint-70") == {0: [(70, None)]}
    assert found(folders(tmp_path, "step0") / "step0") == {0: [(0, None)]}


def test_checkpoints_inside_a_models_folder_are_found(tmp_path):
    """The Trainer of transformers leaves the last model beside its checkpoints."""
    folders(tmp_path, "out", "out/checkpoint-5", "out/checkpoint-10")
    assert found(tmp_path / "out") == {0: [(5, None), (10, None)]}


def test_a_table_names_folders_steps_words_and_seeds(tmp_path):
    folders(tmp_path, "early", "deep/late")
    table = tmp_path / "models.csv"
    table.write_text(f"folder,step,words,seed\ndeep/late,20,4000,1\n{tmp_path / 'early'},10,2000.5,1\nearly,5,,2\n")
    assert found(table) == {1: [(10, 2000.5), (20, 4000)], 2: [(5, None)]}
    assert adoption.find(table)[1][1].folder == tmp_path / "deep" / "late"
    (tmp_path / "models.tsv").write_text("step\tfolder\n7\tearly\n")
    assert found(tmp_path / "models.tsv") == {0: [(7, None)]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder,stp\nearly,5\n", r"models\.csv has no column 'step'; did you mean 'stp'\?"),
        ("folder,step\nearly,soon\n", r"models\.csv:2: step is 'soon', expected a whole number"),
        ("folder,step\nearly,5\nearly,1.5\n", r"models\.csv:\d: step is .*, expected a whole number"),
        ("folder,step\nearly,-5\n", r"models\.csv:2: step is -5"),
        ("folder,step\nearly,5\nlate,6\n", r"models\.csv:3: no folder .*late"),
        ("folder,step\nearly,5\nearly,5\n", "two checkpoints at step 5"),
        ("folder,step\nbare,5\n", r"bare is not a model's folder: it has no config\.json"),
        ("folder,step\n", r"models\.csv has no rows"),
        ("", r"models\.csv cannot be read as a table"),
        ("folder,step\nearly,5,6,7\n", r"models\.csv cannot be read as a table"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_line(tmp_path, text, said):
    folders(tmp_path, "early")
    (tmp_path / "bare").mkdir()
    table = tmp_path / "models.csv"
    table.write_text(text)
    with pytest.raises(OntogenyError, match=said):
        adoption.find(table)


def test_what_holds_no_checkpoints_is_said_with_what_it_holds(tmp_path):
    with pytest.raises(OntogenyError, match="nowhere does not exist"):
        adoption.find(tmp_path / "nowhere")
    with pytest.raises(OntogenyError, match=r"no checkpoints in .*expected folders .*it holds nothing"):
        adoption.find(tmp_path)
    (tmp_path / "step5").mkdir()  # no config.json
    (tmp_path / "notes.txt").touch()
    with pytest.raises(OntogenyError, match=r"no checkpoints in .*it holds notes\.txt, step5"):
        adoption.find(tmp_path)
    with pytest.raises(OntogenyError, match=r"notes\.txt: a table of checkpoints is \.csv or \.tsv"):
        adoption.find(tmp_path / "notes.txt")


def test_a_suite_that_is_not_known_is_named():
    with pytest.raises(OntogenyError, match=r"no suite is called 'blmp'; did you mean 'blimp'\?"):
        suite_part("blmp", None)


# --- a run around them


@pytest.fixture(scope="module")
def theirs(finished_run, tmp_path_factory):
    """The checkpoints of one seed under names of another trainer, without anything of ours beside the model."""
    root = tmp_path_factory.mktemp("theirs") / "tiny opt"
    for step in tiny.TRAINED:
        shutil.copytree(RunFolder(finished_run).checkpoint(1, step), root / f"checkpoint-{step}")
        for ours in ("DONE", "ontogeny.json"):
            (root / f"checkpoint-{step}" / ours).unlink()
    return root


def adopt(source, root, *settings, name=None):
    few = ("suites.0.pairs_per_paradigm=10", "verdicts.resamples=20", "verdicts.swaps=20", "scoring.device=cpu")
    return adoption.adopt(source, SUITE, None, name, (*few, *settings), root, QUIET)


def test_an_adopted_run_has_the_scores_of_our_own(finished_run, theirs, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in theirs.rglob("*")}
    here = adopt(theirs, tmp_path)
    here.score()
    own = RunFolder(finished_run)
    assert here.folder.name == "tiny-opt"
    assert here.folder.seeds() == [0]
    assert here.folder.scored(0, SUITE) == tiny.TRAINED
    for step in tiny.TRAINED:
        one, other = here.folder.scores(0, SUITE, step), own.scores(1, SUITE, step)
        assert store.read_table(one).equals(store.read_table(other))
        assert store.table_metadata(one)["weights"] == store.table_metadata(other)["weights"]
    verdicts = here.judge()
    assert set(verdicts["paradigm"]) == set(store.read_table(own.verdicts)["paradigm"])
    assert {p: p.stat().st_mtime_ns for p in theirs.rglob("*")} == before  # somebody else's folder is only read
    assert Run(here.folder.path).recipe == here.recipe
    assert here.folder.lineage()["opened"] == {"from": str(theirs), "checkpoints": 7}
    with pytest.raises(OntogenyError, match="there is nothing to train"):
        Run(here.folder.path).train()


def test_further_checkpoints_may_come_but_none_may_be_another(theirs, tmp_path):
    few = tmp_path / "few"
    for step in (0, 8):
        shutil.copytree(theirs / f"checkpoint-{step}", few / f"checkpoint-{step}")
    adopt(few, tmp_path / "runs", name="mine").score()
    shutil.copytree(theirs / "checkpoint-16", few / "checkpoint-16")
    here = adopt(few, tmp_path / "runs", name="mine")
    assert [c.step for c in here.folder.checkpoints(0)] == [0, 8, 16]
    with pytest.raises(OntogenyError, match=r"a run around other checkpoints: step 0 of seed 0 was .*few.*use --name"):
        adopt(theirs, tmp_path / "runs", name="mine")
    shutil.rmtree(few / "checkpoint-8")
    with pytest.raises(OntogenyError, match=r"step 8 of seed 0 was .*, now nothing"):
        adopt(few, tmp_path / "runs", name="mine")


def test_a_checkpoint_that_cannot_be_opened_is_named_and_the_others_are_read(theirs, tmp_path):
    some = tmp_path / "some"
    for step in (0, 8):
        shutil.copytree(theirs / f"checkpoint-{step}", some / f"checkpoint-{step}")
    (some / "checkpoint-8" / "model.safetensors").unlink()
    here = adopt(some, tmp_path / "runs")
    with pytest.raises(OntogenyError, match=r"checkpoint-8 holds no weights: expected model\.safetensors"):
        here.score()
    assert here.folder.scored(0, SUITE) == [0]


def test_a_run_that_trains_is_not_overwritten_by_one_around_checkpoints(own_run, theirs):
    with pytest.raises(OntogenyError, match="holds a run of another kind; use another name"):
        adopt(theirs, own_run.parent, name="tiny")


def test_a_run_is_never_begun_in_the_folder_of_what_is_opened(finished_run, tmp_path):
    theirs = shutil.copytree(RunFolder(finished_run).checkpoint(1, 24), tmp_path / "theirs")
    (theirs / ".keep.4194305.tmp").touch()
    before = sorted(p.name for p in theirs.iterdir())
    with pytest.raises(OntogenyError, match=r"theirs is there already .* such as --set name=theirs-2"):
        adoption.adopt(theirs, SUITE, None, None, [], tmp_path, QUIET)
    assert sorted(p.name for p in theirs.iterdir()) == before


def test_a_table_of_checkpoints_is_the_one_of_just_that_name(tmp_path):
    folders(tmp_path, "a", "b")
    (tmp_path / "t1.csv").write_text("folder,step\na,1\n")
    (tmp_path / "t[1].csv").write_text("folder,step\nb,2\n")
    assert found(tmp_path / "t[1].csv") == {0: [(2, None)]}
