"""The smallest recipe, model and tokenizer that can be trained and scored, and readings as an instrument leaves them."""

import errno
import json
import os
import select
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ontogeny import disk
from ontogeny import recipe as recipes
from ontogeny.display import Display
from ontogeny.recipe import Recipe
from ontogeny.records import Document, Pair

TRAINED = [0, 1, 2, 8, 16, 20, 24]  # the checkpoints of RECIPE
RECIPE = """
name: tiny
seeds: [0, 1]
corpus: {kind: micro-english, words: 2000}
dev: {kind: micro-english, words: 300, seed: 9}
tokenizer: word
model:
  kind: opt
  size: opt-1m
  options: {hidden_size: 16, word_embed_proj_dim: 16, num_hidden_layers: 1, num_attention_heads: 2, ffn_dim: 32, dropout: 0.1}
training:
  {context: 16, batch: 4, steps: 24, learning_rate: 1e-2, threads: 1, compile: "off", precision: float32, device: cpu}
checkpoints: {kind: steps, steps: [1, 2, 8, 16, 20]}
suites:
  - {kind: micro-english, pairs_per_paradigm: 10}
scoring: {device: cpu}
verdicts: {resamples: 20, swaps: 20}
"""


def recipe(*settings: str) -> Recipe:
    return recipes.parse(RECIPE, settings=settings)


def documents(*texts: str) -> list[Document]:
    return [Document(text, "test", line) for line, text in enumerate(texts, 1)]


def pairs(*sentences: tuple[str, str], paradigm: str = "toy") -> list[Pair]:
    return [Pair(paradigm, str(number), good, bad) for number, (good, bad) in enumerate(sentences)]


def words(*texts: str):
    """A word tokenizer trained on these texts."""
    from ontogeny.tokens.trained import WordTokenizer

    return WordTokenizer().make(documents(*texts))


def opt(vocabulary: int, context: int = 16, seed: int = 0, **options):
    """An untrained one-layer OPT of width 16 in float32, ready to be read; its weights are wide enough to have opinions."""
    import torch

    from ontogeny.architectures.opt import OPT

    torch.manual_seed(seed)
    size = {"hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 32}
    model = OPT(size="opt-1m", options={**size, "init_std": 0.3, **options}).build(vocabulary, context, 2, 1)
    return model.eval()


def keep_reading(run, instrument, seed, step, weights="0" * 64, key="key", **values):
    """Leaves what an instrument read of one checkpoint, its table by column, in a run's folder.

    `instrument`: its kind, settings, or itself.
    """
    import polars as pl

    asked = recipes.instrument(instrument) if isinstance(instrument, str | dict) else instrument
    settings = json.dumps(asked.model_dump(mode="json"), sort_keys=True)
    frame = pl.DataFrame(values).select(
        (pl.col(name) if name in values else pl.lit(None).alias(name)).cast(column.dtype) for name, column in asked.columns.items()
    )
    disk.write_table(run.reading(asked.name, seed, step), frame, {"key": key, "settings": settings, "weights": weights, "not": ""})


def blimp(folder: Path) -> Path:
    """67 files of two pairs each, labelled as BLiMP's."""
    from ontogeny.suites.blimp import PHENOMENON

    folder.mkdir(parents=True)
    row = '{{"UID": "{}", "pairID": "{}", "linguistics_term": "{}", "field": "{}", "sentence_good": "The dog{} runs.", '
    row += '"sentence_bad": "The dog{} run.", "one_prefix_method": true, "two_prefix_method": false}}\n'
    for paradigm, labels in PHENOMENON.items():
        text = "".join(row.format(paradigm, i, *labels, " here" * i, " here" * i) for i in range(2))
        (folder / f"{paradigm}.jsonl").write_text(text)
    return folder


def save(model, tokenizer, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def flip(file: Path, at: int = -1) -> Path:
    """Another bit in one byte of a file, which keeps its size."""
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    return file


class Heard(Display):
    """A quiet display that remembers what it would have said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.said: list[str] = []

    @property
    def warnings(self) -> list[str]:
        return [text for text in self.said if text.startswith("!")]

    def say(self, text, style=None):
        self.said.append(text)


def ends_with_its_parent(*command: str) -> bool:
    """True if a process ends once the one that started it, which says its number and waits for it, is killed."""
    if not hasattr(os, "pidfd_open"):
        pytest.skip("this system cannot wait for another's child")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    ended, _, _ = select.select([child], [], [], 60)
    os.close(child)
    return bool(ended)


def refuse_writing(monkeypatch, folder: Path, error: OSError | None = None) -> None:
    """Makes a folder and all below it read-only, also for a user who may do everything."""
    refusal, make, opened, rename = error or PermissionError(errno.EACCES, "Permission denied"), os.mkdir, os.open, os.rename

    def guarded(function, writes=lambda *arguments: True):
        def call(path, *arguments, **options):
            if writes(*arguments) and Path(path).absolute().is_relative_to(folder.absolute()):
                raise refusal
            return function(path, *arguments, **options)

        return call

    monkeypatch.setattr(os, "mkdir", guarded(make))
    monkeypatch.setattr(os, "rename", guarded(rename))
    monkeypatch.setattr(os, "open", guarded(opened, lambda flags, *_: flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))


NOUNS, VERBS = [f"noun{letter}" for letter in "abcdef"], [f"verb{letter}" for letter in "abcdef"]


def treebank(folder, many=120):
    """Sentences `the NOUN VERB .`, with a contraction in each second one."""
    rng, blocks = np.random.default_rng(0), []
    for number in range(many):
        noun, verb = rng.choice(NOUNS), rng.choice(VERBS)
        rows = [("the", "DET", 2, "det", "_"), (noun, "NOUN", 3, "nsubj", "Number=Sing"), (verb, "VERB", 0, "root", "Tense=Past")]
        lines = [f"{i}\t{w}\t_\t{p}\t_\t{f}\t{h}\t{r}\t_\t_" for i, (w, p, h, r, f) in enumerate(rows, 1)]
        if number % 2:
            lines.insert(1, f"2-3\t{noun}{verb}\t_\t_\t_\t_\t_\t_\t_\t_")
        blocks.append("\n".join(lines))
    path = folder / "tiny.conllu"
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def reading_times(folder, words=(*NOUNS, *VERBS), many=12, cost=lambda word: 10.0 * len(word)):
    """Sentences of six words that people read, in the columns of BabyLM's table; a word takes `cost` ms, and some noise."""
    rng, rows = np.random.default_rng(0), []
    names = ("RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound", "self_paced_reading_time", "N400")
    for _ in range(many):
        text = [str(word) for word in rng.choice(words, 6)]
        for place in range(1, 6):
            times = [f"{cost(text[place]) + rng.normal():.4f}" for _ in names]
            rows.append([" ".join(text), text[place], str(place), f"{rng.uniform(2, 9):.3f}", *times])
    path = folder / "reading.csv"
    lines = [",".join(("sentence", "word", "context_length", "Subtlex_log10", *names)), *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def primes(folder, one, other, many=4):
    """Items of priming made of two words: structure a has the one first, structure b the other."""
    path, rows = folder / "primes.csv", ["alternation,prime_a,prime_b,target_a,target_b"]
    for n in range(1, many + 1):
        a, b = " ".join([one] * n + [other]), " ".join([other] * n + [one])
        rows.append(f"order,{a},{b},{a} {one},{b} {one}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
