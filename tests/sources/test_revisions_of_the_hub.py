"""Repositories on a hub in little: each family's names are read in order of one clock, and everything else is listed."""

import pytest
from hub_server import Hub

from ontogeny import sources
from ontogeny.records import OntogenyError
from ontogeny.sources.hub import Listing
from ontogeny.sources.revisions import RevisionChoice, costs, expand, span, table

M, B = 10**6, 10**9
OTHER = {"optimizer.pt": b"0" * 9, "flax_model.msgpack": b"1" * 9, "tf_model.h5": b"2" * 9, "onnx/model.onnx": b"3" * 9}


@pytest.fixture
def hub(monkeypatch):
    with Hub() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        yield found


def model(weights="a", **more):
    """A revision's files: no model that could be opened, but what one has."""
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": weights.encode() * 100, "README.md": b"hello"}
    return {**files, **OTHER, **more}


def push(hub, repo, *branches):
    for branch in branches:
        hub.push(repo, model(branch), branch)


def find(source, *names, listing=None, **choice):
    return sources.find(sources.Path(source), names, RevisionChoice(**choice), listing)


def steps(found):
    return {seed: [checkpoint.step for checkpoint in own] for seed, own in found.seeds.items()}


def left(found):
    return {one.label: one.reason for one in found.not_taken}


@pytest.mark.parametrize(
    ("branches", "clock", "expected"),
    [
        (["step0", "step1", "step512", "step143000"], "step", {0: [0, 1, 512, 143_000]}),  # Pythia
        (["step1000-tokens4B", "step2000-tokens8B"], "step", {0: [1000, 2000]}),  # OLMo
        (["step1250-seed-default", "step0-seed-large-aux-3"], "step", {0: [1250], 3: [0]}),  # DataDecide
        (["chck_1M", "chck_10M", "chck_2M", "chck_1000M"], "words", {0: [M, 2 * M, 10 * M, B]}),  # BabyLM
        (["step-125000", "step-250000"], "step", {0: [125_000, 250_000]}),  # SmolLM2
        (["step-001000-2BT", "step-002000-4BT"], "step", {0: [1000, 2000]}),  # FineWeb
        (["ckpt_000", "ckpt_001", "ckpt_358"], "ordinal", {0: [0, 1, 358]}),  # Amber
        (["global_step1000", "global_step10000"], "step", {0: [1000, 10_000]}),  # BLOOM
        (["1000", "128000"], "step", {0: [1000, 128_000]}),  # B-GPT
        (["240b_tokens", "1t_tokens"], "tokens", {0: [240 * B, 1000 * B]}),  # RedPajama
    ],
)
def test_branches_of_each_family_are_found_in_order(hub, branches, clock, expected):
    push(hub, "someone/model", *branches, "main")
    found = find("someone/model")
    assert (found.clock, steps(found)) == (clock, expected)
    assert left(found) == {"main": "whose name tells no moment of training"}


def test_stages_stand_behind_one_another_and_one_ingredient_is_taken(hub):
    """OLMo 2: its ingredients are trainings beside one another."""
    one, two = "stage1-step1000-tokens4B", "stage1-step2000-tokens8B"
    soups = [f"stage2-ingredient{k}-step{step}-tokens1B" for k in (1, 2, 3) for step in (500, 900)]
    push(hub, "allenai/OLMo", one, two, *soups)
    found = find("allenai/OLMo")
    assert steps(found) == {0: [1000, 2000, 2500, 2900]}
    assert left(found) == dict.fromkeys(soups[2:], "another ingredient of its stage, a branch of a tree")
    assert "stage 2 of seed 0 counts anew and is put behind the checkpoint at step 2,000" in found.notes
    other = find("allenai/OLMo", revisions=("stage1-*", "stage2-ingredient3-*"))
    assert [c.revision.name for c in other.seeds[0]] == [one, two, *soups[4:]]


def test_repositories_that_are_one_checkpoint_each_are_listed_in_braces(hub):
    for seed in (0, 1):
        for step in (20, 40):
            push(hub, f"google/multiberts-seed_{seed}-step_{step}k", "main")
    assert steps(find("google/multiberts-seed_{0,1}-step_{20,40}k")) == {0: [20_000, 40_000], 1: [20_000, 40_000]}
    tiny = [f"TinyLlama/TinyLlama-1.1B-intermediate-step-{name}" for name in ("480k-1007B", "50K-105b")]
    for repo in tiny:
        push(hub, repo, "main")
    found = find("TinyLlama/TinyLlama-1.1B-intermediate-step-{480k-1007B,50K-105b}")
    assert [(c.step, c.tokens) for c in found.seeds[0]] == [(50_000, 105 * B), (480_000, 1007 * B)]
    assert found.not_taken == []


def test_where_branches_tell_nothing_the_titles_of_commits_do(hub):
    """pico: a branch is a training, its commits are the checkpoints."""
    for step in (0, 1000, 2000):
        hub.push("pico-lm/tiny", model(f"{step}"), "run-1", f"Saving HF Model -- Step {step}", descends=True)
    hub.push("pico-lm/tiny", {"README.md": b"pico"}, "main")
    hub.page = 2
    found = find("pico-lm/tiny@run-1")
    assert steps(found) == {0: [0, 1000, 2000]}
    assert [c.revision.name for c in found.seeds[0]] == [f"Saving HF Model -- Step {step}" for step in (0, 1000, 2000)]
    assert len({c.revision.commit for c in found.seeds[0]}) == 3


def test_seeds_are_repositories(hub):
    for name in ("pythia-14m", "pythia-14m-seed1", "pythia-14m-seed2"):
        push(hub, f"EleutherAI/{name}", "step0", "step8")
    found = find("EleutherAI/pythia-14m", seeds=("EleutherAI/pythia-14m-seed{1..2}",))
    assert steps(found) == {0: [0, 8], 1: [0, 8], 2: [0, 8]}
    assert found.seeds[2][1].revision.repo == "EleutherAI/pythia-14m-seed2"


def test_braces_are_those_of_a_shell():
    assert expand("a{1..3}") == ["a1", "a2", "a3"]
    assert expand("{a,b}-{1..2}") == ["a-1", "a-2", "b-1", "b-2"]
    assert expand("a{b}") == ["a{b}"]
    assert expand("a{3..1}") == ["a3", "a2", "a1"]


def test_patterns_and_every_choose(hub):
    push(hub, "a/b", *(f"step{n}" for n in range(10)), "other1")
    assert steps(find("a/b@step[0-3]")) == {0: [0, 1, 2, 3]}
    assert steps(find("a/b", revisions=("step1", "step9"))) == {0: [1, 9]}
    found = find("a/b", every=4)
    assert steps(found) == {0: [0, 4, 8, 9]}
    assert "of each seed one in 4 of its revisions, with its first and its last: 4 of 10" in found.notes
    push(hub, "c/d", "iter-10", "iter-20")
    assert steps(find("c/d", "iter-{step}")) == {0: [10, 20]}


def test_files_are_chosen_by_each_commits_own_tree(hub):
    push(hub, "a/b", "step0")
    pickled = {"config.json": b"{}", "pytorch_model.bin": b"p" * 50, "vocab.json": b"{}", "training_args.bin": b"x"}
    hub.push("a/b", pickled, "step1")
    shards = {f"model-0000{n}-of-00002.safetensors": b"s" * n for n in (1, 2)} | {"model.safetensors.index.json": b"{}"}
    hub.push("a/b", {"config.json": b"{}", "tokenizer.model": b"t", **shards, "pytorch_model.bin": b"p"}, "step2")
    listing = Listing()
    found = find("a/b", listing=listing)
    files = [{one.file.path for one in looked.files} for looked in found.revisions.looked]
    assert files == [
        {"config.json", "tokenizer.json", "model.safetensors"},
        {"config.json", "pytorch_model.bin", "vocab.json"},
        {"config.json", "tokenizer.model", *shards},
    ]
    assert found.notes == ["with pickled weights (pytorch_model.bin), of which only tensors are read (weights_only): step1"]


def test_a_tokenizer_that_is_not_there_is_mains(hub):
    bare = {name: content for name, content in model("w").items() if name != "tokenizer.json"}
    hub.push("a/b", bare, "step1")
    main = hub.push("a/b", model("m"), "main")
    hub.push("c/d", bare, "step1")
    found = find("a/b")
    assert found.notes == ["without a tokenizer, read with main's: step1"]
    assert [one.file.path for one in found.revisions.looked[0].files if one.commit == main] == ["tokenizer.json"]
    assert find("c/d").notes == ["without a tokenizer, and main has none either; name one: --tokenizer FOLDER: step1"]


def test_the_table_says_what_is_the_same_what_lacks_weights_and_what_was_not_understood(hub):
    for step, weights in {0: "a", 1: "a", 2: "b"}.items():
        hub.push("a/b", model(weights), f"step{step}")
    hub.push("a/b", {"config.json": b"{}"}, "step3")
    hub.push("a/b", model("b", **{"README.md": b"newer"}), "main")
    push(hub, "a/b", "notes")
    found = find("a/b")
    heads, rows = table(found.revisions)
    assert heads == ["revision", ">step", ">size", ""]
    assert rows == [
        ["step0", "0", "104 B", ""],
        ["step1", "1", "104 B", "the same as step0"],
        ["step2", "2", "104 B", ""],
        ["step3", "3", "2 B", "without weights"],
        ["notes", "", "", "whose name tells no moment of training"],
        ["main", "", "", "the same as step2"],
    ]
    assert "byte for byte the same: step0 = step1" in found.notes
    most, said = costs(found.revisions, keep=False)
    assert most == 208
    assert said == (
        "3 checkpoints, 1 of them the same as another: 208 B to bring (less than a minute at 100 Mbit/s), at most two on the disk "
        "at once (208 B); reading comes on top"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(59, "less than a minute"), (70, "1 minute"), (720, "12 minutes"), (7199, "120 minutes"), (18000, "5 hours")],
)
def test_times_are_said_for_people(seconds, said):
    assert span(seconds) == said


def test_what_was_said_once_is_not_asked_again(hub):
    push(hub, "a/b", "step0", "step1", "main")
    listing = Listing()
    before = steps(find("a/b", listing=listing))
    asked = len(hub.asked)
    hub.push("a/b", model("moved"), "step1")
    again = find("a/b", listing=Listing(listing.kept()))
    assert steps(again) == before
    assert again.seeds[0][1].revision.commit != hub.repositories["a/b"].branches["step1"]
    assert len(hub.asked) == asked


def test_a_table_lists_revisions(hub, tmp_path):
    push(hub, "a/b", "step5", "best", "main")
    push(hub, "c/d-seed1", "step5")
    commit = hub.repositories["a/b"].branches["main"]
    rows = ["Repo,revision,seed,step,tokens", "a/b,step5,,,20", "a/b,best,0,7,30", f"a/b,{commit},0,9,", "c/d-seed1,step5,1,5,20"]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    found = find(tmp_path / "mine.csv")
    assert {seed: [(c.step, c.tokens) for c in own] for seed, own in found.seeds.items()} == {
        0: [(5, 20), (7, 30), (9, None)],
        1: [(5, 20)],
    }
    for row, said in {
        "a/b,best,0,,": r":2: best tells no moment of training; write its step, tokens or words",
        "ab,step5,0,,": r":2: repo is 'ab', expected OWNER/NAME",
        "a/b,step6,0,,": r"a/b has no revision step6; nearest: step5",
        "a/b,step5,0,x,": r":2: step is 'x', expected a whole number",
    }.items():
        (tmp_path / "mine.csv").write_text("\n".join([rows[0], row]))
        with pytest.raises(OntogenyError, match=said):
            find(tmp_path / "mine.csv")
    (tmp_path / "mine.csv").write_text("repo,revision,words\na/b,best,100\na/b,step5,")
    with pytest.raises(OntogenyError, match="a run has one clock, and this row is told in optimiser steps, line 2 in words seen"):
        find(tmp_path / "mine.csv")


# --- what cannot be


def test_what_cannot_be_had_says_what_to_do(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    push(hub, "a/b", "step0")
    with pytest.raises(OntogenyError, match=r"there is no folder a/c here, and no model a/c on the hub .*`hf auth login`"):
        find("a/c")
    hub.repositories["a/b"].gated = True
    with pytest.raises(OntogenyError, match=r"a/b is gated: accept its terms at https://huggingface.co/a/b, log in"):
        find("a/b")
    hub.repositories["a/b"].private = True
    with pytest.raises(OntogenyError, match="if it is private, log in with an account that may read it"):
        find("a/b")


def test_a_pattern_that_nothing_fits_is_answered_with_the_nearest_names(hub):
    push(hub, "a/b", "step1000", "step2000", "main")
    with pytest.raises(OntogenyError, match="a/b has no revision step100; nearest: step1000"):
        find("a/b@step100")


def test_names_that_tell_nothing_are_listed(hub):
    push(hub, "a/b", "main", "final", "fp16")
    with pytest.raises(OntogenyError, match=r"no revision tells a moment of training \(3 branches: final, fp16, main\); say how"):
        find("a/b")


def test_a_run_has_one_clock(hub):
    push(hub, "a/b", "step1000", "chck_1M")
    with pytest.raises(OntogenyError, match=r"(?s)2 kinds of names, and a run has one clock.*--names step"):
        find("a/b")
    assert steps(find("a/b", "chck")) == {0: [M]}


def test_a_repository_without_any_model_is_named(hub):
    hub.push("a/b", {"README.md": b"x"}, "step1")
    with pytest.raises(OntogenyError, match=r"a/b: no revision holds a model\nstep1 \(without weights\)"):
        find("a/b")


def test_a_limit_and_a_servers_trouble_are_waited_out_and_said(hub, monkeypatch):
    import time

    waited, said = [], []
    monkeypatch.setattr(time, "sleep", waited.append)
    push(hub, "a/b", "step0", "step1")
    hub.too_many("* /api/models/a/b/refs", times=2, wait=30)
    hub.broken("* /api/models/a/b/tree/*", times=1)
    assert steps(find("a/b", listing=Listing(say=said.append))) == {0: [0, 1]}
    assert waited[:2] == [31.0, 31.0]
    assert said[0] == "a/b: the hub has had too many questions from here (429); asked again in 31 s"
    assert any("HTTP Error 503" in line for line in said[2:])
    hub.too_many("* /api/models/c/d/auth-check", times=99)
    push(hub, "c/d", "step0")
    with pytest.raises(OntogenyError, match=r"c/d: the hub has had too many questions .*nothing is lost, and the same"):
        find("c/d")


def test_nothing_is_asked_where_nothing_answers(monkeypatch):
    import time

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
    with pytest.raises(OntogenyError, match=r"a/b: the connection broke \(ConnectError\)"):
        find("a/b")


def test_patterns_of_an_address_and_of_the_option_add_up_and_are_those_of_other_seeds_too(hub):
    for name in ("tiny", "tiny-seed1"):
        push(hub, f"a/{name}", "step0", "step8", "step9")
    assert steps(find("a/tiny@step8", revisions=("step0",))) == {0: [0, 8]}
    assert steps(find("a/tiny@step[08]", seeds=("a/tiny-seed1",))) == {0: [0, 8], 1: [0, 8]}
    assert steps(find("a/tiny@step8", seeds=("a/tiny-seed1@step9",))) == {0: [8], 1: [9]}


def test_what_is_the_same_in_several_repositories_is_named_with_them(hub, tmp_path):
    for name in ("tiny", "tiny-seed1"):
        push(hub, f"a/{name}", "step0")
    found = find("a/tiny", seeds=("a/tiny-seed1",))
    assert "byte for byte the same: a/tiny@step0 = a/tiny-seed1@step0" in found.notes
    (tmp_path / "table.csv").write_text("repo,revision,seed\na/tiny,step0,0\na/tiny-seed1,step0,1\n")
    for one in (found, find(tmp_path / "table.csv")):
        assert [row[-1] for row in table(one.revisions)[1]][:2] == ["", "the same as a/tiny@step0"]


def test_a_repository_that_is_said_twice_is_looked_at_once(hub):
    push(hub, "a/tiny", "step0", "step8")
    assert len(find("a/tiny", seeds=("a/tiny",)).revisions.looked) == 2


def test_an_empty_repository_is_named(hub):
    push(hub, "a/b", "step0")
    hub.repositories["a/b"].branches.clear()
    with pytest.raises(OntogenyError, match="a/b is empty: it has no branch"):
        find("a/b")
