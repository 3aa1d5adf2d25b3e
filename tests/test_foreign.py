"""The door: what somebody else made is opened whole or refused in a sentence, and none of its code is run."""

import json
import shutil
from contextlib import suppress

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from ontogeny import disk, foreign, store
from ontogeny.readers import score_folders, score_one
from ontogeny.records import OntogenyError
from ontogeny.scoring.reading import SuitePairs, open_model, score_folder
from ontogeny.store import RunFolder
from ontogeny.tokens.pretrained import Pretrained, open_tokenizer

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 20}
CODE = "from pathlib import Path\nPath({!r}).write_text('it ran')\n"
OF_ITS_OWN = {
    "model_type": "invented",
    "architectures": ["OwnForCausalLM"],
    "auto_map": {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"},
}


@pytest.fixture
def folder(finished_run, tmp_path):
    """A checkpoint that belongs to no run."""
    return shutil.copytree(
        RunFolder(finished_run).checkpoint(0, 24), tmp_path / "model", ignore=shutil.ignore_patterns("DONE", "ontogeny.json")
    )


def change(file, **values):
    known = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in (known | values).items() if value != "GONE"}))


def retensor(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    save_file(edit(tensors), folder / "model.safetensors", {"format": "pt"})


# --- code


def test_code_of_a_checkpoint_is_not_run_whatever_standard_input_says(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *asked: "y")
    for name in ("configuration_own.py", "modeling_own.py", "tokenization_own.py"):
        (folder / name).write_text(CODE.format(str(tmp_path / "ran")))
    config = json.loads((folder / "config.json").read_text())
    for said in (
        OF_ITS_OWN,
        {**OF_ITS_OWN, "model_type": "opt"},  # a kind that the library has, of another class
        {"model_type": "vit", "auto_map": {"AutoModelForCausalLM": "modeling_own.OPTForCausalLM"}},
    ):
        (folder / "config.json").write_text(json.dumps(config | said))
        with pytest.raises(OntogenyError, match=r"model cannot be opened.*code of its own \(.*modeling_own\.py\).* is not run"):
            open_model(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "invented"}))
    change(
        folder / "tokenizer_config.json", tokenizer_class="OwnTokenizer", auto_map={"AutoTokenizer": ["tokenization_own.Own", None]}
    )
    (folder / "tokenizer.json").unlink()
    with pytest.raises(OntogenyError, match="holds no tokenizer"):
        open_tokenizer(folder)
    assert not (tmp_path / "ran").exists()


def test_a_model_within_a_model_does_not_ask_either(folder, monkeypatch):
    """What the library does with the parts of a composite model: there it has no argument to say no with."""
    from transformers.dynamic_module_utils import resolve_trust_remote_code

    monkeypatch.setattr("builtins.input", lambda *asked: "y")
    with pytest.raises(OntogenyError, match="is not run"), foreign.opening(folder, "trouble"):
        resolve_trust_remote_code(None, str(folder), False, True)


@pytest.mark.parametrize("where", ["attn_implementation", "_attn_implementation"])
def test_an_implementation_from_the_hub_is_refused(folder, where):
    change(folder / "config.json", text_config={where: {"": "somebody/kernel"}})
    with pytest.raises(OntogenyError, match="wants attn_implementation 'somebody/kernel'"):
        open_model(folder)


# --- whatever a library raises


def broken(folder):
    """Ways to break a folder -> what is said."""
    file = {name: folder / f"{name}.json" for name in ("config", "tokenizer", "tokenizer_config")}
    made = json.loads(file["tokenizer"].read_text())
    yield "config.json holds a list", lambda: file["config"].write_text("[]")
    yield "config.json cannot be read as JSON", lambda: file["config"].write_text("{")
    yield "cannot be opened as a causal", lambda: change(file["config"], num_attention_heads="two")
    yield "cannot be opened as a causal", lambda: change(file["config"], num_attention_heads=0)
    yield "cannot be opened as a causal", lambda: change(file["config"], model_type=[1])
    yield "cannot be opened as a causal", lambda: change(file["config"], return_dict=False)
    yield "a package that is not installed", lambda: change(file["config"], quantization_config={"quant_method": "gptq", "bits": 4})
    yield "wants attn_implementation 'flash_attention_2'", lambda: change(file["config"], attn_implementation="flash_attention_2")
    yield "of another version of tokenizers", lambda: change(file["tokenizer"], model={"type": "Unheard"})
    yield "of another version of tokenizers", lambda: change(file["tokenizer"], pre_tokenizer={"type": "Unheard"})
    yield "holds no tokenizer", lambda: file["tokenizer"].write_text('"a"')
    yield "holds no tokenizer", lambda: change(file["tokenizer"], added_tokens=["a"])
    yield "holds no tokenizer", lambda: file["tokenizer_config"].write_text("5")
    yield "holds no tokenizer", lambda: change(file["tokenizer_config"], bos_token=1.5)
    yield "holds no tokenizer", lambda: change(file["tokenizer_config"], tokenizer_class={"a": 1})
    more = {**made["model"]["vocab"], "zzz": 10_000}
    yield (
        "they do not belong together",
        lambda: change(file["tokenizer"], model=made["model"] | {"vocab": dict.fromkeys(more, 10_000)}),
    )
    yield "a file of weights is empty", lambda: (folder / "model.safetensors").write_bytes(b"")
    yield "a file of weights is empty", lambda: (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def test_whatever_is_wrong_is_one_error_that_names_the_folder(folder, tmp_path):
    asked = asked_of_words()
    shutil.copytree(folder, tmp_path / "sound")
    for number in range(len(list(broken(folder)))):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "sound", folder)
        said, spoil = list(broken(folder))[number]
        spoil()
        with pytest.raises(OntogenyError) as found:
            score_folder(folder, asked, torch.device("cpu"), 64, True, lambda n: None)
        assert said in str(found.value)
        assert str(folder) in str(found.value)


def asked_of_words():
    return SuitePairs("toy", tiny.pairs(("the dog barks", "the dog bark")), [], {}, "key")


def test_a_panic_that_is_no_exception_is_an_error_too_and_ctrl_c_is_not(tmp_path):
    class Panic(BaseException):
        pass

    with (
        pytest.raises(OntogenyError, match=r"it broke \(Panic: at line 5\); mend it"),
        foreign.opening(tmp_path, "it broke", "mend it"),
    ):
        raise Panic("at\n line 5")
    with pytest.raises(KeyboardInterrupt), foreign.opening(tmp_path, "it broke"):
        raise KeyboardInterrupt


def test_of_several_folders_the_others_are_scored(folder, tmp_path):
    for name, file in (("config", "config.json"), ("tokens", "tokenizer.json"), ("weights", "model.safetensors")):
        other = shutil.copytree(folder, tmp_path / name)
        (other / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")
    table = tmp_path / "own.csv"
    table.write_text("paradigm,pair,good,bad\na,1,the dog barks,the dog bark\n")
    folders = [tmp_path / name for name in ("config", "tokens", "weights", "model")]
    told: list[str] = []
    with pytest.raises(OntogenyError) as error:
        score_folders(folders, "table", table, tmp_path / "out", device="cpu", tell=told.append)
    assert [line.partition(",")[0] for line in told] == [f"{tmp_path}/out/model.parquet: 1 pair"]
    said = str(error.value).split("\n")
    assert [text.count("is not the file itself but a pointer of Git LFS") for text in said] == [1, 1, 1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.parquet"]


# --- tokenizers


@pytest.mark.parametrize("kind", ["gpt2", "gemma", "bert", "roberta", "opt", "mbart", "llama"])
@pytest.mark.parametrize("settings", [None, "tokenizer_config.json", "special_tokens_map.json"])
def test_a_folder_without_a_vocabulary_gives_no_blank_tokenizer(tmp_path, kind, settings):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    if settings:
        (tmp_path / settings).write_text("{}")
    for opened in (open_tokenizer, lambda path: Pretrained(name=str(path)).make([])):
        with pytest.raises(OntogenyError, match=r"holds no tokenizer .* it has no vocabulary; put the files"):
            opened(tmp_path)


@pytest.mark.parametrize("value", ["", 3, [], {"content": 3}])
def test_a_special_token_that_is_none_is_one_error_or_none(folder, value):
    change(folder / "tokenizer_config.json", unk_token=value)
    with suppress(OntogenyError):
        tokenizer = open_tokenizer(folder)
        assert tokenizer.unk_token_id is None or tokenizer.unk_token_id >= 0


def test_a_tokenizer_can_be_named_for_folders_without_one(folder, tmp_path):
    bare = shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("*token*", "special*"))
    (table := tmp_path / "pairs.csv").write_text("paradigm,good,bad\np,the dog sees,dog the sees\n")
    with pytest.raises(OntogenyError, match=r"bare holds no tokenizer.*: it has no vocabulary; .*--tokenizer FOLDER"):
        score_one(bare, "table", table, tmp_path / "none.parquet", device="cpu")
    for place, named in ((folder, None), (bare, str(folder))):
        score_one(place, "table", table, tmp_path / f"{place.name}.parquet", device="cpu", tokenizer=named)
    own, other = (tmp_path / f"{name}.parquet" for name in ("model", "bare"))
    assert disk.read_table(own).equals(disk.read_table(other))
    assert disk.table_metadata(own)["settings"] != disk.table_metadata(other)["settings"]  # it is no other's table
    with pytest.raises(OntogenyError, match="bare holds no tokenizer"):
        score_one(bare, "table", table, tmp_path / "none.parquet", device="cpu", tokenizer=str(bare))
    change(folder / "tokenizer_config.json", extra="x")
    score_folders([bare, folder], "table", table, tmp_path / "out", device="cpu", tokenizer=str(folder))
    before = disk.table_metadata(tmp_path / "out" / "bare.parquet")["settings"]
    assert before not in (disk.table_metadata(other)["settings"], disk.table_metadata(own)["settings"])


def test_bytes_and_characters_need_no_vocabulary(tmp_path):
    from transformers import ByT5Tokenizer

    ByT5Tokenizer().save_pretrained(tmp_path)
    assert open_tokenizer(tmp_path)(["ab"])["input_ids"][0][:2] == [100, 101]


# --- tensors


def test_tensors_that_the_model_has_no_place_for_are_an_error(folder):
    change(folder / "config.json", num_hidden_layers=0)
    with pytest.raises(
        OntogenyError, match=r"16 of the tensors in its files have no place .*: model\.decoder\.layers\.0\.[^,]*, .* \.\.\."
    ):
        open_model(folder)


@pytest.mark.parametrize("name", ["model.decoder.layers.0.self_attn.q_proj.lora_A.default.weight", "score.weight", "junk"])
def test_a_tensor_too_many_is_an_error(folder, name):
    retensor(folder, lambda tensors: tensors | {name: torch.ones(2)})
    with pytest.raises(OntogenyError, match=f"1 of the tensors in its files have no place in the model of its config.json: {name}"):
        open_model(folder)


def test_a_tensor_of_another_shape_is_an_error(folder):
    change(folder / "config.json", vocab_size=7)
    with pytest.raises(OntogenyError, match=r"embed_tokens\.weight is \[\d+, 16\] in its files, and \[7, 16\] by its config\.json"):
        open_model(folder)


def test_tensors_that_predict_nothing_are_told_and_left_aside(tmp_path):
    from transformers import BertConfig, BertForPreTraining, GPTNeoConfig, GPTNeoForCausalLM

    torch.manual_seed(0)
    whole = BertForPreTraining(BertConfig(**SMALL)).eval()
    whole.save_pretrained(tmp_path / "bert")
    change(tmp_path / "bert" / "config.json", architectures=["BertForMaskedLM"])
    said, ids = [], torch.tensor([[1, 2, 3]])
    found = open_model(tmp_path / "bert", said.append)
    assert said == ["tensors that predict nothing are left aside: bert.pooler.dense.bias and 3 more"]
    assert torch.allclose(found(ids).logits, whole(ids).prediction_logits, atol=1e-6)

    config = GPTNeoConfig(hidden_size=8, num_layers=1, num_heads=2, vocab_size=20, attention_types=[[["global"], 1]])
    old = GPTNeoForCausalLM(config).eval()
    old.save_pretrained(tmp_path / "old")
    mask = {
        "transformer.h.0.attn.attention.bias": torch.ones(1, 1, 4, 4),
        "transformer.h.0.attn.attention.masked_bias": torch.ones(1),
    }
    retensor(tmp_path / "old", lambda tensors: tensors | mask)
    assert torch.allclose(open_model(tmp_path / "old", said.append)(ids).logits, old(ids).logits, atol=1e-6)
    assert said[1:] == ["tensors that predict nothing are left aside: transformer.h.0.attn.attention.bias and 1 more"]


def test_an_adapter_is_not_passed_over(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "somebody/model"}')
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")
    with pytest.raises(OntogenyError, match=r"holds an adapter \(adapter_model\.safetensors\) beside whole weights"):
        open_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(OntogenyError, match="and no whole weights, and adapters are not read; merge it"):
        open_model(folder)


# --- what a config does not say


def test_a_model_that_may_be_masked_must_say_so(tmp_path):
    from transformers import BertConfig, BertForMaskedLM

    BertForMaskedLM(BertConfig(**SMALL)).save_pretrained(tmp_path)
    for named in ("GONE", None, [], "BertForMaskedLM", [5]):
        change(tmp_path / "config.json", architectures=named)
        with pytest.raises(OntogenyError, match=r'such as "architectures": \["BertForMaskedLM"\]'):
            open_model(tmp_path)


def test_a_sentence_at_the_true_limit_of_a_roberta_is_left_out(tmp_path):
    """Its positions begin after the padding's, so it takes two tokens fewer than its config says."""
    from transformers import RobertaConfig, RobertaForCausalLM

    tokenizer = tiny.words("a b c")
    torch.manual_seed(0)
    config = RobertaConfig(**SMALL | {"vocab_size": len(tokenizer)}, max_position_embeddings=12, is_decoder=True, pad_token_id=1)
    tiny.save(RobertaForCausalLM(config), tokenizer, tmp_path / "model")
    pairs = tiny.pairs(*((" ".join(["a"] * n), " ".join(["a"] * (n - 1) + ["b"])) for n in range(8, 13)))
    frame, plan, _ = score_folder(
        tmp_path / "model", SuitePairs("s", pairs, [], {}, "k"), torch.device("cpu"), 64, True, lambda n: None
    )
    assert len(frame) == 3
    assert len(plan.too_long) == 2  # 10 words after BOS: the last is no input


def test_a_hash_of_nothing_names_what_is_there(tmp_path):
    (tmp_path / "models").mkdir()
    with pytest.raises(OntogenyError, match=r"model: .*modles does not exist .* did you mean 'models'"):
        store.weights_hash(tmp_path / "modles")


def test_a_folder_that_may_not_be_read_is_named(folder, monkeypatch):
    def closed(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr("pathlib.Path.iterdir", closed)
    for read in (store.weights_hash, open_tokenizer):
        with pytest.raises(OntogenyError, match=r"model cannot be read \(permission denied\)"):
            read(folder)
    with pytest.raises(OntogenyError, match=r"config\.json is a file, and a model is a folder"):
        store.weights_hash(folder / "config.json")
