"""Inputs with one thing wrong, drawn from a seed: recipes, settings, pairs, texts, models, studies, a run's own files ...

A mutant is made in an empty folder from what `make` has made once, and is the words of the command that meets it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from ontogeny import recipe as recipes
from ontogeny import registry

Words = list[str]
Mutant = Callable[[random.Random, Path, Path], Words]  # a source of chance, what `make` made, an empty folder

RECIPE = """\
name: tiny
seeds: [0]
corpus: {{kind: text, path: {base}/text}}
dev:
  kind: micro-english
  words: 300
  seed: 9
tokenizer: word
model:
  kind: opt
  size: opt-1m
  options:
    hidden_size: 16
    word_embed_proj_dim: 16
    num_hidden_layers: 1
    num_attention_heads: 2
    ffn_dim: 32
    dropout: 0.1
training:
  context: 16
  batch: 4
  steps: 4
  learning_rate: 1e-2
  betas: [0.9, 0.95]
  warmup: 1
  threads: 1
  compile: "off"
  precision: float32
  device: cpu
  trial: "off"
checkpoints:
  kind: steps
  steps: [1, 2]
suites:
  - kind: table
    path: {base}/pairs.csv
scoring:
  device: cpu
  live: false
verdicts:
  resamples: 5
  swaps: 2
interventions:
  - kind: filter
    patterns: ["sings"]
"""
STUDY = """\
name: little
question: Does a longer warm-up change anything?
recipe: {base}/recipe.yaml
settings: [training.steps=4]
seeds: [0, 1]
paradigms: [one]
reference: untouched
arms:
  - name: untouched
  - name: dropped
    interventions: [{{kind: filter, patterns: ["the dog"]}}]
  - name: "warm-up {{share}}"
    for: {{share: [0.5]}}
    settings: ["training.warmup={{share}}"]
    priority: 2
predictions:
  P1:
    says: A longer warm-up changes nothing.
    measure: late_accuracy
    of: equivalence
    arms: ["warm-up *"]
    supported: {{within: 0.5}}
    refuted: {{outside: 0.5}}
expected: {{late_accuracy: 0.2}}
"""
SCALARS = [
    *("", "null", "~", "-1", "0", "1", "2", "0.5", "1.5", "-0.5", "7", "1e308", "-1e308", "1e-300", ".nan", ".inf", "true", "no"),
    *("9" * 5000, "9" * 400, str(2**31), str(2**63), str(2**64), "1_000", "0x10", "2024-01-01", "x", "auto", "meta", "cuda:99"),
    *("'" + "x" * 300 + "'", '"\\0"', '"\\u2028"', '"\\x1b[2J"', "'[/x]'", "a/b", "../up", "/dev/null", "/dev/full", "שלום"),
    *("opt", "text", "word", "bpe", "mamba", "blimp", "micro-english", "table", "pretrained", "rules", "*.train", "(", "'a: b'"),
]
SHAPES = [
    *("[]", "{}", "[1, 2]", "[[]]", "[null]", "[-1]", "{a: 1}", "{kind: opt}", "{kind: text}", "[true]", "['']", "{1: 2}"),
    *("!!bool maybe", "!!int x", "!!python/object:os.system x", "!!binary '*'", "!!set {a, b}", "!x y", "*a", "&a [*a]", "- a"),
    *("[" * 3000, "[" * 300 + "]" * 300, "{a: " * 300 + "1" + "}" * 300, "? [a]\n: b", "<<: 5", "[.nan]", "%", "@", "`"),
]
MANY = "99999999"
NEAR = ["1", "2", "3", "5", "8", "64", "1000", "0.1", "0.9", "1.0", "1e-9", "1e6", "0.25", MANY]  # what may well be taken
PLACES = [f"model.options.{name}" for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "dropout")]
PLACES += [f"model.options.{name}" for name in ("attention_dropout", "layerdrop", "init_std", "activation_function", "x")]
PLACES += [f"model.options.{name}" for name in ("vocab_size", "word_embed_proj_dim", "max_position_embeddings", "torch_dtype")]
FIELDS: dict[str, Any] = {
    "training": recipes.Training,
    "scoring": recipes.Scoring,
    "verdicts": recipes.Thresholds,
    "checkpoints": recipes.Schedule,
}
KINDS = {
    "corpus": "corpus",
    "tokenizer": "tokenizer",
    "model": "architecture",
    "suites.0": "suite",
    "interventions.0": "intervention",
}
TEXT = "the dog sees a cat .\na bird sings .\nthe cat hears my horse .\n"


# --- what mutants are made from -----------------------------------------------------------------------------------


def make(base: Path) -> None:
    """What `write` writes, a finished run with its evidence, another one, and a model."""
    from ontogeny.laboratory import Run, run
    from ontogeny.readers import score_one

    write(base)
    here: Run = run(base / "recipe.yaml", base / "runs")
    here.examine(2)
    here.write_report()
    shutil.copytree(here.folder.path, base / "second")
    shutil.copytree(here.folder.checkpoint(0, 4), base / "model")
    score_one(base / "model", "table", base / "pairs.csv", base / "scores.parquet", device="cpu")


def write(base: Path) -> None:
    """A recipe with its text and pairs, a study, and a table of accuracies."""
    (base / "text").mkdir(parents=True)
    (base / "text" / "a.txt").write_text(TEXT * 60, encoding="utf-8")
    (base / "text" / "b.txt").write_text("my horse sleeps .\n" * 40, encoding="utf-8")
    pairs = [(p, f"the {n} sees a cat .", f"sees {n} the a cat .") for p in ("one", "two") for n in ("dog", "bird", "horse", "cat")]
    lines = ["paradigm,good,bad", *(",".join(pair) for pair in pairs)]
    (base / "pairs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [f"{p},{s},{seed},{a}" for p, a in (("a", 0.9), ("b", 0.1)) for s in (0, 1, 2, 4, 8, 16, 20, 24) for seed in (0, 1)]
    (base / "accuracies.csv").write_text("\n".join(["paradigm,step,seed,accuracy", *rows]) + "\n", encoding="utf-8")
    (base / "recipe.yaml").write_text(RECIPE.format(base=base), encoding="utf-8")
    (base / "study.yaml").write_text(STUDY.format(base=base), encoding="utf-8")


# --- one thing wrong ----------------------------------------------------------------------------------------------


def broken_bytes(chance: random.Random, content: bytes) -> bytes:
    """Cut, emptied, flipped, doubled, in another encoding, or with what has no place in a text."""
    at = chance.randrange(len(content) + 1)
    return chance.choice(
        [
            content[:at],
            b"",
            b"\n",
            content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :],
            content[:at]
            + chance.choice([b"\xff", b"\0", b"\r", b'"', b"\xe9", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\t"])
            + content[at:],
            content + content,
            content[at:] + content[:at],
            content.decode("latin-1").encode("utf-16"),
            b"\xef\xbb\xbf" + content,
            gzip.compress(content),
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            chance.randbytes(200),
        ]
    )


def broken_yaml(chance: random.Random, text: str) -> bytes:
    """A value, a line or a byte of it is another."""
    lines = text.splitlines()
    at = chance.choice([at for at, line in enumerate(lines) if ": " in line or chance.randrange(4) == 0])
    name, colon, _ = lines[at].partition(": ")
    value = possible(name, chance.choice(chance.choice([SCALARS, SHAPES, NEAR])))
    match chance.randrange(8):
        case 0:
            return broken_bytes(chance, text.encode())
        case 1:
            lines[at : at + 1] = chance.choice([[], [lines[at]] * 2, [f"  {lines[at]}"], [lines[at].lstrip()]])
        case 2:
            lines.insert(at, f"{'  ' * chance.randrange(3)}{chance.choice(['x', 'kind', 'grid', 'seeds', '1', '<<'])}: {value}")
        case _:
            lines[at] = f"{name}{colon or ': '}{value}"
    return ("\n".join(lines) + "\n").encode(errors="surrogatepass")


def possible(field: str, value: str) -> str:
    """The value, but not so much text as takes hours to make, which a recipe may well ask for."""
    return "1000" if field.strip().endswith("words") and value == MANY else value


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    1.5,
    2**63,
    10**400,
    1e308,
    float("nan"),
    "",
    "x",
    "1",
    "\0",
    "\u2028",
    "../up",
    "x" * 300,
]
VALUES += [[], {}, [None], {"a": 1}, [[]], "[/x]", "\x1b[2J", "2024-01-01"]


def broken_json(chance: random.Random, content: bytes) -> bytes:
    """One value somewhere in it is another, or bytes are."""
    try:
        found = json.loads(content)
    except ValueError:
        return broken_bytes(chance, content)
    places = list(_places(found))
    if not places or not chance.randrange(4):
        return chance.choice([broken_bytes(chance, content), json.dumps(chance.choice(VALUES)).encode()])
    holder, key = chance.choice(places)
    if chance.randrange(5):
        holder[key] = chance.choice(VALUES)
    else:
        del holder[key]
    return json.dumps(found).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    entries = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())[:200]
    for key, inner in entries:
        yield value, key
        yield from _places(inner)


def broken_table(chance: random.Random, content: bytes) -> bytes:
    """A parquet table with a column gone, renamed, of another type or empty, without rows, twice; or broken bytes."""
    import io

    import polars as pl

    frame = pl.read_parquet(io.BytesIO(content))
    name = chance.choice(frame.columns)
    some = pl.when(pl.int_range(pl.len()) == 0)
    changed: list[Callable[[], pl.DataFrame]] = [
        lambda: frame.drop(name),
        lambda: frame.rename({name: "other"}),
        lambda: frame.with_columns(pl.lit(chance.choice(["x", "1", None, -1, 0, 1.5, float("nan"), True, 2**62])).alias(name)),
        lambda: frame.with_columns(some.then(None).otherwise(pl.col(name)).alias(name)),
        lambda: frame.with_columns(pl.col(name).cast(pl.String).alias(name)),
        lambda: frame.with_columns(pl.col(name).implode().alias(name)) if len(frame) == 1 else frame.head(1),
        lambda: frame.clear(),
        lambda: pl.DataFrame({"a": [1]}),
        lambda: pl.concat([frame, frame]),
        lambda: frame.sample(fraction=1, shuffle=True, seed=chance.randrange(99)),
    ]
    if not chance.randrange(3):
        return broken_bytes(chance, content)
    out = io.BytesIO()
    kept = pl.read_parquet_metadata(io.BytesIO(content))
    facts = {key: value for key, value in kept.items() if not key.startswith("ARROW")}
    if not chance.randrange(5) and facts:
        facts[chance.choice(list(facts))] = str(chance.choice(VALUES))
    else:
        frame = chance.choice(changed)()
    frame.write_parquet(out, metadata=facts)
    return out.getvalue()


def broken_file(chance: random.Random, file: Path) -> None:
    """Breaks a file in its way; or it is gone, a folder, a pipe, or a link to nothing."""
    content = file.read_bytes()
    match chance.randrange(12):
        case 0:
            file.unlink()
        case 1:
            file.unlink()
            file.mkdir()
        case 2:
            file.unlink()
            file.symlink_to("nothing")
        case _:
            breaks = {".json": broken_json, ".parquet": broken_table}.get(file.suffix, broken_bytes)
            if file.name in ("DONE", "recipe.yaml"):
                breaks = broken_json if file.name == "DONE" else lambda chance, content: broken_yaml(chance, content.decode())
            file.write_bytes(breaks(chance, content))


# --- kinds --------------------------------------------------------------------------------------------------------


def recipe(chance: random.Random, base: Path, here: Path) -> Words:
    """A recipe, trained."""
    file = here / "recipe.yaml"
    file.write_bytes(broken_yaml(chance, (base / "recipe.yaml").read_text(encoding="utf-8")))
    command = "run" if not chance.randrange(10) else "train"
    return [command, str(file), "--runs", str(here / "runs")]


def places() -> list[tuple[str, str]]:
    """Every field that a setting can name, with the setting that chooses the kind which has it."""
    found = [(f"{part}.{name}", "") for part, model in FIELDS.items() for name in cast(Any, model).model_fields]
    for place, table in KINDS.items():
        for kind in registry.names(table):
            fields = getattr(registry.load(table, kind), "model_fields", ())
            found += [(f"{place}.{name}", f"{place}.kind={kind}") for name in fields]
    other = [*PLACES, *recipes.Recipe.model_fields, "seeds.0", "grid", "x", "suites.x", "training.x.y"]
    return sorted({*found, *((name, "") for name in other)})


def setting(chance: random.Random, base: Path, here: Path) -> Words:
    """A setting laid over a recipe, trained."""
    place, kind = chance.choice(places())
    named, value = [kind] * bool(kind and chance.randrange(4)), chance.choice(chance.choice([SCALARS, SHAPES, NEAR]))
    asked = [*named, f"{place}={possible(place, value)}"]
    words = [word for one in asked for word in ("--set", one)]
    return ["train", str(base / "recipe.yaml"), "--runs", str(here / "runs"), *words]


def pairs(chance: random.Random, base: Path, here: Path) -> Words:
    """A table of pairs, scored."""
    import polars as pl

    frame = pl.read_csv(base / "pairs.csv")
    file = here / f"pairs{chance.choice(['.csv', '.tsv', '.jsonl', '.parquet'])}"
    match file.suffix:
        case ".parquet":
            frame.write_parquet(file)
            file.write_bytes(broken_table(chance, file.read_bytes()))
        case ".jsonl":
            frame.write_ndjson(file)
            lines = file.read_bytes().splitlines()
            at = chance.randrange(len(lines))
            lines[at] = broken_json(chance, lines[at])
            file.write_bytes(b"\n".join(lines) + b"\n")
        case _:
            frame.write_csv(file, separator="\t" if file.suffix == ".tsv" else ",")
            file.write_bytes(broken_cells(chance, file.read_text(encoding="utf-8"), "\t" if file.suffix == ".tsv" else ","))
    model, out = str(base / "model"), str(here / "scores.parquet")
    return ["score", model, "--suite", "table", "--suite-path", str(file), "--out", out, "--device", "cpu"]


CELLS = [
    "",
    "-1",
    "1.5",
    "nan",
    "inf",
    "x",
    "1e400",
    "9" * 400,
    "[/x]",
    "\0",
    "\u2028",
    "../up",
    "x" * 300,
    "true",
    '"',
    "𝔘",
    "</s>",
    " ",
]
CELLS += ["0", "1", "1e308", "-0.5", "0.5", "null", "9223372036854775808", "2024-01-01", "\x1b[2J", "=1+1", "(", "\udc80"]


def broken_cells(chance: random.Random, text: str, separator: str) -> bytes:
    """A field or a line of a table in text is another, or bytes are."""
    lines = [line.split(separator) for line in text.splitlines()]
    at = chance.randrange(len(lines) if chance.randrange(3) else 1)
    match chance.randrange(6):
        case 0:
            return broken_bytes(chance, text.encode())
        case 1:
            lines[at : at + 1] = chance.choice([[], [lines[at]] * 2, [[*lines[at], "x"]], [lines[at][:-1]], [[]]])
        case 2:
            column = chance.randrange(len(lines[0]))
            for line in lines[1:]:
                line[column] = chance.choice(CELLS)
        case _:
            lines[at][chance.randrange(len(lines[at]))] = chance.choice(CELLS)
    return ("\n".join(separator.join(line) for line in lines) + "\n").encode(errors="surrogateescape")


def accuracies(chance: random.Random, base: Path, here: Path) -> Words:
    """A table of accuracies, judged."""
    import polars as pl

    file = here / f"accuracies{chance.choice(['.csv', '.csv', '.csv', '.tsv', '.parquet', '.parquet', '.json'])}"
    if file.suffix == ".parquet":
        pl.read_csv(base / "accuracies.csv").write_parquet(file)
        file.write_bytes(broken_table(chance, file.read_bytes()))
    else:
        text = (base / "accuracies.csv").read_text(encoding="utf-8")
        separator = "\t" if file.suffix == ".tsv" else ","
        file.write_bytes(broken_cells(chance, text.replace(",", separator), separator))
    few = ["--set", "verdicts.resamples=5", "--set", "verdicts.swaps=2"]
    return ["verdicts", str(file), *few, *chance.choice([[], ["--set", "total_steps=30"], ["--out", str(here / "out.parquet")]])]


def corpus(chance: random.Random, base: Path, here: Path) -> Words:
    """A folder or file of text, trained on."""
    text, folder = (base / "text" / "a.txt").read_bytes(), here / "text"
    folder.mkdir()
    (folder / "a.txt").write_bytes(text)
    ending = chance.choice([".txt", ".txt", ".jsonl", ".parquet", ".txt.gz", ".csv", ".json", ".zst", ".train"])
    file = folder / f"{chance.choice(['b', '.b', 'b[1]', 'b ', 'é', chr(0x2028)])}{ending}"
    match ending:
        case ".jsonl":
            lines = [json.dumps({"text": line}).encode() for line in text.decode().splitlines()[:20]]
            lines[3] = broken_json(chance, lines[3])
            file.write_bytes(b"\n".join(lines))
        case ".parquet":
            import polars as pl

            pl.DataFrame({"text": text.decode().splitlines()[:20]}).write_parquet(file)
            file.write_bytes(broken_table(chance, file.read_bytes()))
        case ".txt.gz":
            whole = gzip.compress(chance.choice([text, b"a " * 10_000_000, b"x" * 10_000_000, b""]))
            file.write_bytes(chance.choice([whole, broken_bytes(chance, whole), whole + b"x", whole[:-8]]))
        case _:
            words = [b"x" * 300_000, b"\0" * 1000, "\u2028".encode() * 100, "ab\u0301 👩‍👩‍👧 ".encode() * 50, b"<s> </s> [UNK] "]
            file.write_bytes(chance.choice([broken_bytes(chance, text), broken_bytes(chance, text), *words]))
    if not chance.randrange(10):
        broken_file(chance, folder / "a.txt")
    path = chance.choice([folder, folder, file])
    tokenizer = chance.choice(
        ["{kind: word}", "{kind: character}", "{kind: bpe, vocab_size: 262}", "{kind: unigram, vocab_size: 20}"]
    )
    asked = ["corpus.path=" + str(path), f"tokenizer={tokenizer}", "training.steps=2", "interventions=[]"]
    return ["train", str(base / "recipe.yaml"), "--runs", str(here / "runs"), *(w for one in asked for w in ("--set", one))]


def model(chance: random.Random, base: Path, here: Path) -> Words:
    """A folder with a model, scored."""
    folder = here / "model"
    shutil.copytree(base / "model", folder)
    broken_file(chance, chance.choice(sorted(folder.iterdir())))
    if not chance.randrange(4) and (folder / "DONE").is_file():
        (folder / "DONE").unlink()
    return ["score", str(folder), *scored(base, here)]


def scored(base: Path, here: Path) -> Words:
    """What is asked of a single folder."""
    return [
        *("--suite", "table", "--suite-path", str(base / "pairs.csv")),
        *("--out", str(here / "scores.parquet"), "--device", "cpu"),
    ]


def study(chance: random.Random, base: Path, here: Path) -> Words:
    """A study's file, opened."""
    file = here / "study.yaml"
    file.write_bytes(broken_yaml(chance, (base / "study.yaml").read_text(encoding="utf-8")))
    return ["study", "report", str(file), "--runs", str(here / "runs")]


PARTS = [
    "verdicts.parquet",
    "curves.parquet",
    "seed-0/scores",
    "seed-0/readings",
    "evidence",
    "suites",
    "suites/tokens",
    "ngrams",
    "tokens",
]
PARTS += [
    "tokenizer",
    "seed-0/checkpoints/step-00000004",
    "seed-0/state",
    "interventions",
    "seed-0/losses.parquet",
    "ngrams/word/index",
]


def own(chance: random.Random, base: Path, here: Path) -> Words:
    """A run with one of its files broken, and a command on it."""
    run = _copied(base, here)
    files = [file for file in sorted(run.rglob("*")) if file.is_file() and not file.name.endswith(".lock")]
    broken_file(chance, chance.choice([file for file in files if "report" not in file.parts]))
    if chance.randrange(2):  # something is missing too, so that what is broken is asked for
        _lost(run / chance.choice(PARTS))
    return chance.choice(_commands(base, here, run))


def full(chance: random.Random, base: Path, here: Path) -> Words:
    """A run that lacks something, on a disk that has no room for all of it, and a command that makes it; needs root, on Linux."""
    _disk_of_its_own(here)
    run = _copied(base, here)
    for part in chance.sample(PARTS, chance.randrange(1, 5)):
        _lost(run / part)
    if chance.randrange(4) == 0:  # all of it
        shutil.rmtree(run)
    more: list[Words] = [
        ["run", str(base / "recipe.yaml"), "--runs", str(run.parent), "--jobs", "1"],
        ["open", str(base / "model"), "--suite", "table", "--suite-path", str(base / "pairs.csv"), "--runs", str(run.parent)],
        ["export", str(base / "second"), "--to", chance.choice(["csv", "json", "r"]), "--out", str(here / "out")],
    ]
    words = chance.choice(_commands(base, here, run) + 4 * more)
    room = round(2 ** chance.uniform(10, 22))  # bytes
    free = shutil.disk_usage(here).free
    with (here / "filler").open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, max(1, free - room))
    return words


def with_room(here: Path) -> None:
    """Gives a mutant's full disk its room back."""
    (here / "filler").unlink()


def _disk_of_its_own(here: Path) -> None:
    """Mounts one of 16 MB that ends with this process."""
    libc: Any = ctypes.CDLL(None, use_errno=True)
    private = 0x44000  # MS_REC | MS_PRIVATE
    if (
        libc.unshare(0x20000)  # CLONE_NEWNS
        or libc.mount(b"none", b"/", None, private, None)
        or libc.mount(b"tmpfs", str(here).encode(), b"tmpfs", 0, b"size=16m")
    ):
        raise OSError(ctypes.get_errno(), "a disk of its own could not be mounted, which root alone may")
    os.chdir(here)


def _copied(base: Path, here: Path) -> Path:
    shutil.copytree(base / "runs", here / "runs", symlinks=True)
    return here / "runs" / "tiny"


def _lost(gone: Path) -> None:
    shutil.rmtree(gone, ignore_errors=True) if gone.is_dir() else gone.unlink(missing_ok=True)


def _commands(base: Path, here: Path, run: Path) -> list[Words]:
    """Commands on a run."""
    folder = str(run)
    return [
        ["show", folder],
        ["list", "--runs", str(run.parent)],
        ["verdicts", folder],
        ["verdicts", folder],
        ["report", folder],
        ["score", folder],
        ["score", folder],
        ["read", folder, "--with", "reliance"],
        ["train", folder],
        ["train", str(base / "recipe.yaml"), "--runs", str(run.parent), "--set", "training.threads=1"],
        ["ngrams", folder, "--order", "2"],
        ["evidence", folder, "--order", "2"],
        ["why", folder, "one"],
        ["warn", folder, "--from", str(base / "accuracies.csv")],
        ["compare", folder, str(base / "second"), "--out", str(here / "compared")],
        ["audit", "pairs", "--run", folder, "--out", str(here / "audit")],
        ["score", str(run / "seed-0" / "checkpoints" / "step-00000004"), *scored(base, here)],
    ]


KINDS_OF_MUTANTS: dict[str, Mutant] = {
    "recipes": recipe,
    "settings": setting,
    "pair files": pairs,
    "accuracy tables": accuracies,
    "corpora": corpus,
    "checkpoint folders": model,
    "study files": study,
    "a run's own files": own,
    "full disks": full,
}
