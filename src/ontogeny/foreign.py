"""The one door through which a config, a tokenizer or a model of somebody else's is opened.

No code that comes with a folder is ever run, nobody is asked, and whatever a library raises ends in one OntogenyError that names
the folder and says the cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.disk import access
from ontogeny.files import check_pointer
from ontogeny.records import OntogenyError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """How a model is opened."""

    dtype: str = "float32"  # of its weights
    device_map: str | None = None  # auto: over all GPUs
    own_code: bool = False  # the folder's own, which somebody has named: it may be run


PLAIN = Opening()

# Where a folder keeps a tokenizer's vocabulary, all of a tokenizer, and weights.
VOCABULARY = ("tokenizer.json", "vocab*", "merges*", "*.model", "tekken.json")
TOKENIZER = ("tokenizer*", "special_tokens*", "added_tokens*", *VOCABULARY[1:])
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
SETTINGS = ("config.json", "tokenizer_config.json")

# Tensors that change no prediction of the next or the masked token, by name: heads of BERT's and ALBERT's other objective, and
# constants that older versions of transformers wrote down.
USELESS = re.compile(
    r"(^|\.)pooler\.|^cls\.seq_relationship\.|^sop_classifier\.|\.attn\.(attention\.)?(masked_)?bias$|\.attention\.masked_bias$"
    r"|rotary_emb\.inv_freq$|(^|\.)position_ids$"
)
OWN = ("eager", "sdpa", "flex_attention", "grouped_mm", "batched_mm")  # implementations that are torch's or transformers'
# What libraries say -> what it means.
CAUSES = [
    (r"untagged enum|unknown variant|did not match any variant", "tokenizer.json is damaged, or of another version of tokenizers"),
    (r"sentencepiece|tiktoken", "its tokenizer needs the package sentencepiece or tiktoken, which is not installed"),
    (r"^(ImportError|ModuleNotFoundError)", "it needs a package that is not installed"),
    (r"^(EOFError|UnpicklingError|SafetensorError)", "a file of weights is empty, cut or something else"),
    (r"index out of range in self", "a token or a place that the model has no embedding of"),
    (r"^(Type|Attribute|Key|Assertion|ZeroDivision|Recursion)Error", "a setting in its files is not of the kind that is expected"),
]


def open_config(folder: Path) -> dict[str, Any]:
    """A model's config.json as plain values.  Raises OntogenyError if there is none, or it is no config."""
    with access(folder / "config.json", "read"):
        if not (folder / "config.json").exists():
            raise OntogenyError(f"{folder} is not a model's folder: it has no config.json")
    check_pointers(_files(folder, *SETTINGS))
    return _settings(folder / "config.json")


def open_tokenizer(name: str | Path, revision: str | None = None, own_code: bool = False) -> PreTrainedTokenizerBase:
    """A tokenizer from a folder or the hub.

    `own_code`: that of a folder may be run.  Raises OntogenyError that says how to point to one if it cannot be opened, or has no
    tokens but special ones: what the library makes of a folder without a tokenizer.
    """
    from transformers import AutoTokenizer

    folder = Path(name).expanduser()
    with access(folder, "read"):
        inside = list(folder.iterdir()) if folder.is_dir() else None
    if inside is None:
        where = "run again where there is a network, or name a folder: --tokenizer FOLDER, in a recipe the tokenizer's name"
        with opening(name, f"no tokenizer {name!r}: it is not a folder here, and the hub could not give it", where):
            return _tried(AutoTokenizer.from_pretrained(str(name), revision=revision, trust_remote_code=False), False)
    check_pointers(_files(folder, *SETTINGS, *TOKENIZER))
    none = "" if _files(folder, *VOCABULARY) else NONE
    with opening(folder, f"{folder} holds no tokenizer that transformers can open{none}"):
        own = (folder / "tokenizer.json").exists()
        trusted = own_code and _only_here(folder)
        return _tried(AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted), own)


NONE = (
    ": it has no vocabulary; put the files of the tokenizer that the model was trained with into it (tokenizer.json and all "
    "others), or name a folder that has them: --tokenizer FOLDER"
)


def _tried(tokenizer: PreTrainedTokenizerBase, own: bool) -> PreTrainedTokenizerBase:
    """The tokenizer, if it can be used and has a tokenizer.json or tokens that are not special (the word mark is none)."""
    tokenizer(["a b"], add_special_tokens=False)
    tokenizer.convert_tokens_to_ids(["a", *tokenizer.all_special_tokens])
    for name in ("bos", "eos", "unk", "mask", "cls", "sep"):
        getattr(tokenizer, f"{name}_token_id")  # asked for later, and no plain attribute: it may fail as the rest does
    if not own and not set(tokenizer.get_vocab()) - {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab(), "▁"}:
        raise OntogenyError(f"{tokenizer.name_or_path} holds no tokenizer that transformers can open{NONE}")
    return tokenizer


def open_model(folder: Path, masked: bool = False, say: Say = lambda text: None, how: Opening = PLAIN) -> Any:
    """A causal or masked language model from a local folder, in float32 unless `how` says, never from the hub, tried on two tokens.

    `say` is told of tensors that it has no use for and that change nothing.  Raises OntogenyError naming the folder, also if not
    all of its tensors are used or some are missing.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    opener, kind = (AutoModelForMaskedLM, "masked") if masked else (AutoModelForCausalLM, "causal")
    trusted = how.own_code and _only_here(folder)
    _check_config(open_config(folder), opener.__name__, folder, trusted)
    _check_adapter(folder)
    check_pointers(_files(folder, *WEIGHTS))
    with opening(folder, f"{folder} cannot be opened as a {kind} language model"):
        model, found = opener.from_pretrained(
            folder,
            dtype=getattr(torch, how.dtype),
            device_map=how.device_map,
            local_files_only=True,
            weights_only=True,
            trust_remote_code=trusted,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told in `found`, and refused below
        )
        _check_tensors(found, folder, kind, say)
        with torch.inference_mode():
            logits = model.eval()(input_ids=torch.zeros(1, 2, dtype=torch.int64, device=model.device)).logits
        if logits.shape[:2] != (1, 2):
            raise OntogenyError(f"{folder} is no {kind} language model: of two tokens it makes logits {list(logits.shape)}")
    return model


def check_tokens(model: Any, sentences: Iterable[Sequence[int]]) -> None:
    """Raises OntogenyError for a token that the model has no embedding of: the tokenizer is another model's."""
    try:
        rows = getattr(model.get_input_embeddings(), "num_embeddings", None)
    except NotImplementedError:
        return
    most = max((max(sentence, default=0) for sentence in sentences), default=0)
    if rows is not None and most >= rows:
        raise OntogenyError(f"its tokenizer gives token {most:,}, and the model knows {rows:,}: they do not belong together")


def class_named(folder: Path) -> str:
    """The class of a folder's model, as its config names it; empty where it names none, or there is no config."""
    with access(folder, "read"):
        there = (folder / "config.json").exists()
    names = open_config(folder).get("architectures") if there else None
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""


# --- the door -----------------------------------------------------------------------------------------------------


@contextmanager
def opening(name: str | Path, trouble: str, mend: str = "") -> Iterator[None]:
    """Inside it nothing asks or warns, and whatever is raised becomes an OntogenyError: `trouble`, the cause, how to `mend` it."""
    from transformers import dynamic_module_utils
    from transformers.utils import logging

    logging.disable_progress_bar()  # one bar a run, ours
    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE, logging.get_verbosity()
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0  # so that a model within a model does not ask on standard input
    logging.set_verbosity_error()
    try:
        yield
    except (OntogenyError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of the tokenizers' library is no Exception
        raise OntogenyError(f"{trouble} ({_cause(error, Path(name))})" + (f"; {mend}" if mend else "")) from error
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = before[0]
        logging.set_verbosity(before[1])


def cause(error: BaseException) -> str:
    """What a library raised, in one line, with what it means where that is known."""
    said = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    said = said if len(said) <= 300 else f"{said[:300]} ..."
    return next((f"{means}: {said}" for pattern, means in CAUSES if re.search(pattern, said, re.IGNORECASE)), said)


def _cause(error: BaseException, folder: Path) -> str:
    if "trust_remote_code" in str(error) or "custom code" in str(error):
        return _not_run(folder)
    return cause(error)


def _not_run(folder: Path) -> str:
    """That code is not run, and which."""
    maps = [_settings(folder / file).get("auto_map") for file in SETTINGS if (folder / file).exists()]
    files = sorted({f"{name.rpartition('.')[0]}.py" for found in maps for name in _texts(found)})
    which = f" ({', '.join(files)})" if files else ""
    return f"it needs code of its own{which}, and code that comes with a model is not run here{NAMED_ONE}"


NAMED_ONE = "; of the hub, one commit that you have read may be named: --trust-remote-code REVISION"


def _only_here(folder: Path) -> bool:
    """True where the code that a folder names is in it.  Raises OntogenyError where it would come from somewhere else."""
    for file in SETTINGS:
        named = _settings(folder / file).get("auto_map") if (folder / file).exists() else None
        for name in _texts(named):
            if "--" in name:
                raise OntogenyError(
                    f"{folder} wants code of another repository ({name}), and only that of the commit you named is run"
                )
    return True


def _check_config(config: dict[str, Any], opener: str, folder: Path, trusted: bool = False) -> None:
    """Raises OntogenyError for a config that does not say what the model is, or wants code of its own or of the hub."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    masked = MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(str(config.get("model_type")))
    if masked and not class_named(folder) and not config.get("is_decoder"):
        raise OntogenyError(
            f"{folder}: config.json names no class of model, and its kind can be masked or causal; write it into it, such as "
            f'"architectures": ["{masked}"]'
        )
    own = config.get("auto_map")
    named = own.get(opener) if isinstance(own, dict) else None
    if not trusted and isinstance(named, str) and not hasattr(transformers, named.rpartition(".")[2]):
        raise OntogenyError(f"{folder} cannot be opened: {_not_run(folder)}")
    for name in ("attn_implementation", "experts_implementation"):
        for wanted in _values(config, name):
            if wanted not in OWN:
                raise OntogenyError(
                    f"{folder} cannot be opened: its config.json wants {name} {wanted!r}, which is another package or code from "
                    f"the hub; take {name} out of it"
                )


def _check_adapter(folder: Path) -> None:
    if adapter := _files(folder, "adapter_config.json", "adapter_model*"):
        what = "beside whole weights" if set(_files(folder, *WEIGHTS)) - set(adapter) else "and no whole weights"
        raise OntogenyError(
            f"{folder} holds an adapter ({adapter[-1].name}) {what}, and adapters are not read; merge it into its model "
            "(merge_and_unload in peft), or take the adapter's files away if the model is meant without it"
        )


def _check_tensors(found: dict[str, Any], folder: Path, kind: str, say: Say) -> None:
    """Raises OntogenyError for tensors that are missing, of another shape, or not used though they may matter."""
    whole = f"{folder} is no whole {kind} language model: "
    if lacking := sorted(found["missing_keys"]):
        raise OntogenyError(
            f"{whole}{len(lacking)} of its tensors, such as {lacking[0]}, are not in its files and would be random numbers"
        )
    for name, has, wants in sorted(found["mismatched_keys"]):
        raise OntogenyError(f"{whole}{name} is {list(has)} in its files, and {list(wants)} by its config.json")
    unused = sorted(found["unexpected_keys"])
    if lost := [name for name in unused if not USELESS.search(name)]:
        raise OntogenyError(
            f"{whole}{len(lost)} of the tensors in its files have no place in the model of its config.json: {', '.join(lost[:3])}"
            + (" ..." if lost[3:] else "")
        )
    if unused:
        say(f"tensors that predict nothing are left aside: {unused[0]}" + (f" and {len(unused) - 1} more" if unused[1:] else ""))


def tokenizer_files(folder: Path) -> list[Path]:
    """The files that a folder keeps a tokenizer in."""
    return _files(folder, *TOKENIZER)


def check_pointers(files: Iterable[Path]) -> None:
    """Raises OntogenyError for a file that Git LFS has not fetched."""
    for file in files:
        check_pointer(file)


# --- plain values -------------------------------------------------------------------------------------------------


def _settings(path: Path) -> dict[str, Any]:
    """A file of settings.  Raises OntogenyError if it holds no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OntogenyError(f"{path} cannot be read as JSON ({cause(error)})") from error
    if not isinstance(found, dict):
        raise OntogenyError(f"{path} holds a {type(found).__name__}, where a config is an object of names and values")
    return found


def _values(value: Any, name: str) -> Iterator[str]:
    """Every text that is said under a name that ends with `name`, however deep."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield from _texts(inner) if str(key).endswith(name) else _values(inner, name)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)


def _files(folder: Path, *patterns: str) -> list[Path]:
    """Files of such names, in order."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
