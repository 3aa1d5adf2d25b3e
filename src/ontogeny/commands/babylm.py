"""A run as a submission to BabyLM 2026: prediction files in its pipeline's folders, order and keys, and what they collate to.

    OUT/MODEL/REVISION/zero_shot/BACKEND/TASK/DATASET/predictions.json
        {uid: {"predictions": [{"id": "uid_0", "pred": what the model prefers}]}}, in the order of the data's files
    OUT/MODEL/all_full_preds_and_fast_scores_BACKEND.json

REVISION is `main`, the last checkpoint, or `chck_1M` ... by words seen.  What the run has no data for is null there, and is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ontogeny import disk, files, registry
from ontogeny.commands.overview import plain
from ontogeny.commands.pushing import check_here
from ontogeny.instruments.reading import explained, read_table
from ontogeny.laboratory import Run
from ontogeny.records import Checkpoint, OntogenyError
from ontogeny.scoring.options import sides
from ontogeny.scoring.surprisals import surprisals
from ontogeny.suites.declared import Declared

TRACKS = {"strict-small": 100, "strict": 1000}  # millions of words of the last revision
NEAR = 0.05  # a checkpoint is that of a revision if it has seen as many words within this share
Predictions = dict[str, dict[str, list[dict[str, Any]]]]  # uid: {"predictions": [...]}
Asked = tuple[tuple[str, str], ...]  # what stands before each option, and the option


class SubmittedTask(NamedTuple):
    """One entry of the collated file."""

    key: str
    place: str  # of its predictions below BACKEND
    data: str  # of its data below evaluation_data
    suite: str = ""  # the kind that reads it


PAIRS = (
    SubmittedTask("blimp", "blimp/blimp_filtered", "full_eval/blimp_filtered", "babylm-blimp"),
    SubmittedTask("blimp_supplement", "blimp/supplement_filtered", "full_eval/supplement_filtered", "babylm-supplement"),
    SubmittedTask("ewok", "ewok/ewok_filtered", "full_eval/ewok_filtered", "ewok"),
    SubmittedTask("entity_tracking_filtered", "entity_tracking/entity_tracking", "full_eval/entity_tracking", "entity-tracking"),
    SubmittedTask("comps", "comps/comps", "full_eval/comps", "comps"),
)
FAST = (
    SubmittedTask("blimp", "blimp/blimp_fast", "fast_eval/blimp_fast", "babylm-blimp"),
    SubmittedTask("blimp_supplement", "blimp/supplement_fast", "fast_eval/supplement_fast", "babylm-supplement"),
    SubmittedTask("ewok", "ewok/ewok_fast", "fast_eval/ewok_fast", "ewok"),
    SubmittedTask(
        "entity_tracking_filtered", "entity_tracking/entity_tracking_fast", "fast_eval/entity_tracking_fast", "entity-tracking"
    ),
)
READING = SubmittedTask("reading", "reading", "full_eval/reading/reading_data.csv")
FAST_READING = SubmittedTask("reading", "reading", "fast_eval/reading/reading_data.csv")
READ = {"spr": "self-paced", "rt": "eye"}  # the pipeline's names
AOA = SubmittedTask("aoa_surprisals", "AoA_word", "full_eval/cdi_childes/cdi_childes.json")
NOT_MADE = {  # keys that stay empty, and why
    "global_piqa_parallel": "GlobalPIQA is no suite of this run",
    "global_piqa_nonparallel": "GlobalPIQA is no suite of this run",
    "aoa": "its score is computed by the pipeline, from the surprisals and cdi_human.csv",
    "glue": "GLUE needs fine-tuning, which is the pipeline's",
}
ORDER = (
    *("blimp", "blimp_supplement", "ewok", "entity_tracking_filtered", "comps", "global_piqa_parallel", "global_piqa_nonparallel"),
    *("reading", "aoa_surprisals", "aoa", "glue", "fast_eval_results"),
)
FAST_KEYS = (
    *("blimp", "blimp_supplement", "ewok", "entity_tracking_filtered"),
    "global_piqa_parallel",
    "global_piqa_nonparallel",
    "reading",
)


def revisions(track: str) -> dict[str, int]:
    """The checkpoints that a track asks for, and the millions of words of each: 19 or 28.

    >>> list(revisions("strict-small"))[8:11], len(revisions("strict"))
    (['chck_9M', 'chck_10M', 'chck_20M'], 28)
    """
    millions = [*range(1, 10), *range(10, 101, 10), *range(200, 1001, 100)]
    return {f"chck_{m}M": m for m in millions if m <= TRACKS[track]}


class Submission:
    """One seed of a run, as BabyLM's pipeline would have read it."""

    def __init__(
        self, run: Run, seed: int | None = None, name: str | None = None, track: str | None = None, data: Path | None = None
    ):
        """`data`: the pipeline's evaluation_data; left out, where the run's suites of BabyLM lie.

        Raises OntogenyError for a seed without checkpoints, or whose files are not on the disk, and where no data can be found.
        """
        self.run, self.folder = run, run.folder
        self.seed = self.folder.seeds()[0] if seed is None else seed
        self.checkpoints = self.folder.checkpoints(self.seed)
        if not self.checkpoints:
            raise OntogenyError(f"{self.folder.path} has no checkpoints of seed {self.seed}; it has seeds {self.folder.seeds()}")
        check_here(self.checkpoints)
        self.name = name or self.folder.name
        if Path(self.name).name != self.name:
            raise OntogenyError(f"--name {self.name}: a model's name here is that of one folder, without / or ..")
        self.track = track or self._track()
        if self.track not in TRACKS:
            raise OntogenyError(f"--track {self.track}: {registry.nearest(self.track, list(TRACKS))}")
        self.data = data or self._data()
        if not any(self._find(task.data) for task in (*PAIRS, *FAST, READING, AOA)):
            raise OntogenyError(
                f"{self.data} holds nothing of the pipeline's evaluation_data, such as {PAIRS[0].data}; name it with --data"
            )
        self.left_out: dict[str, str] = dict(NOT_MADE)

    @cached_property
    def backend(self) -> str:
        """causal or mlm, as the pipeline calls them."""
        from ontogeny.foreign import class_named
        from ontogeny.scoring.masked import named_masked

        return "mlm" if named_masked(class_named(self.checkpoints[-1].folder)) else "causal"

    def _track(self) -> str:
        words = self.checkpoints[-1].words
        return "strict-small" if words is None or words <= 1.05e8 else "strict"

    def _data(self) -> Path:
        for suite in self.run.recipe.suites:
            if suite.kind.startswith("babylm-"):
                return Path(suite.path).expanduser()  # type: ignore[attr-defined]
        raise OntogenyError(
            f"{self.folder.path} has no suite of BabyLM's; the pipeline's data are named with --data evaluation_data "
            "(huggingface.co/datasets/BabyLM-community/BabyLM-2026-Strict-Evals)"
        )

    def _find(self, inside: str) -> Path | None:
        """A file or folder of the pipeline's data; None where it is not there."""
        tried = [self.data / inside, self.data / "evaluation_data" / inside, self.data / inside.partition("/")[2]]
        return next((path for path in tried if path.exists()), None)

    def at(self, millions: int) -> Checkpoint | None:
        """The checkpoint that has seen so many words; None where none has."""
        known = [c for c in self.checkpoints if c.words and abs(c.words / (millions * 1e6) - 1) <= NEAR]
        return min(known, key=lambda c: abs((c.words or 0) - millions * 1e6), default=None)

    # --- pairs ----------------------------------------------------------------------------------------------------

    def pairs(self, task: SubmittedTask, checkpoint: Checkpoint) -> Predictions:
        """What the model prefers at one checkpoint of every item of a task's data, in its order.  A tie is the right one's.

        Raises OntogenyError for data that is not there, and for items that the run has no scores of.
        """
        scored, tie, found = self._scored(checkpoint.step), self.run.recipe.verdicts.tie, Predictions()
        for uid, asked, answers, place in self._items(task):
            logps = (0.0,) * len(asked) if len(set(asked)) == 1 else scored.get(asked)
            if logps is None:
                raise OntogenyError(
                    f"{place}: this item has no score at step {checkpoint.step}: all pairs are needed "
                    f"(a suite {task.suite}, no pairs_per_paradigm, scoring.until: all)"
                )
            best = int(np.argmax((logps[0] + tie, *logps[1:])))
            rows = found.setdefault(uid, {"predictions": []})["predictions"]
            rows.append({"id": f"{uid}_{len(rows)}", "pred": answers[best]})
        return found

    def _items(self, task: SubmittedTask) -> Iterator[tuple[str, Asked, Sequence[str], str]]:
        """Of each item of a task's data, in its order: its uid, what is asked, what answers each option, and where it is.

        EWoK and COMPS are answered with whole sentences, entity tracking with the option; it leaves out items with an option of
        "nothing".
        """
        if (folder := self._find(task.data)) is None:
            raise OntogenyError(f"no {task.data} in {self.data}")
        if task.suite.startswith("babylm-"):
            for file in sorted(folder.glob("*.jsonl")):
                for line, row in files.objects(file):
                    texts = row["sentence_good"], row["sentence_bad"]
                    yield row.get("UID", file.stem), tuple(("", text) for text in texts), texts, f"{file}:{line}"
            return
        convention = "babylm-2026" if task.suite == "ewok" else ""
        for pair in Declared(kind=task.suite, path=folder, convention=convention).pairs():
            uid, place = pair.paradigm, f"{folder}, item {pair.pair} of {pair.paradigm}"
            if task.suite != "entity-tracking":
                uid = uid.removeprefix("comps_").replace("-", "_") if task.suite == "comps" else uid
                yield uid, pair.asked, [f"{before} {text}" for before, text in pair.asked], place
            elif not any("nothing" in option for option in pair.options):
                yield uid, pair.asked, pair.options, place

    def _scored(self, step: int) -> dict[Asked, tuple[float, ...]]:
        """What was asked to the log-probability of each option, of all suites."""
        found: dict[Asked, tuple[float, ...]] = {}
        for suite in self.folder.suites():
            path = self.folder.scores(self.seed, suite, step)
            if path.exists() and {"good", "bad"} <= set((pairs := disk.read_table(self.folder.pairs(suite))).columns):
                for row in disk.read_table(path).join(pairs, on=["paradigm", "pair"]).iter_rows(named=True):
                    options = row["good"], row["bad"], *(row.get("more") or ())
                    before = row.get("contexts") or (row.get("context") or "",) * len(options)
                    logps = tuple(row[f"logp_{side}"] for side in sides(len(options)))
                    found[tuple(zip(before, options, strict=True))] = logps
        return found

    # --- surprisals -----------------------------------------------------------------------------------------------

    def reading(self, checkpoint: Checkpoint, task: SubmittedTask = READING) -> Predictions:
        """Surprisal (nats) of each word of the reading data after what stands before it, and of the word before that.

        Raises OntogenyError where the data is not there.
        """
        file = self._find(task.data)
        if file is None:
            raise OntogenyError(f"no {task.data} in {self.data}")
        (_, names), *fields = files.separated(file, ",")
        rows = [dict(zip(names, row, strict=True)) for _, row in fields]
        now = self._surprisals(checkpoint, [(row["item"] or "None", row["word"]) for row in rows])
        before = iter(self._surprisals(checkpoint, [(row["prev_item"], row["prev_word"]) for row in rows if row["prev_item"]]))
        predicted = [
            {"id": number, "pred": value, "prev_pred": next(before) if row["prev_item"] else None}
            for number, (row, value) in enumerate(zip(rows, now, strict=True))
        ]
        return {"reading": {"predictions": predicted}}

    def aoa(self) -> dict[str, Any]:
        """Surprisal (nats, summed over tokens) of the words of children's vocabularies in their contexts, at every revision.

        Raises OntogenyError where the data is not there, or no checkpoint is a revision of the track.
        """
        file = self._find(AOA.data)
        if file is None:
            raise OntogenyError(f"no {AOA.data} in {self.data}")
        asked = [
            (number, said["context"], word)
            for word, contexts in disk.read_json(file).items()
            if len(word) > 1
            for number, said in enumerate(contexts)
        ]
        results = []
        for name, checkpoint in self._revisions():
            values = self._surprisals(checkpoint, [(context.strip(), word.strip()) for _, context, word in asked])
            results += [
                {
                    "step": name,
                    "word_count": revisions(self.track)[name] * 1_000_000,
                    "target_word": word,
                    "context_id": number,
                    "context": context,
                    "surprisal": value,
                }
                for (number, context, word), value in zip(asked, values, strict=True)
            ]
        if not results:
            raise OntogenyError("no checkpoint has seen as many words as a revision has, chck_1M ...")
        about = {"model_name": self.name, "use_bos_only": False, "total_steps": len(revisions(self.track))}
        return {"metadata": about | {"completed_steps": len({row["step"] for row in results})}, "results": results}

    def _surprisals(self, checkpoint: Checkpoint, asked: Sequence[tuple[str, str]]) -> list[float]:
        """Of each word after its context, summed over the word's tokens."""
        kept = self.run.recipe.scoring
        texts, contexts = [word for _, word in asked], [context or None for context, _ in asked]
        tokenizer = None if kept.tokenizer is None else self._tokenizer
        with self.run.display.bar(f"surprisals at step {checkpoint.step}", len(asked), "words") as progress:
            found = surprisals(
                checkpoint.folder,
                texts,
                contexts=contexts,
                tokenizer=tokenizer,
                bos=self.run.recipe.bos,
                leading_space=True,
                metric=kept.masked,
                device=kept.device,
                progress=progress,
            )
        summed: list[float] = found.group_by("sentence").agg(pl.col("surprisal").sum()).sort("sentence")["surprisal"].to_list()
        return summed

    @cached_property
    def _tokenizer(self) -> Any:
        from ontogeny.tokens.pretrained import open_tokenizer

        return open_tokenizer(self.folder.tokenizer)

    def _revisions(self) -> Iterator[tuple[str, Checkpoint]]:
        for name, millions in revisions(self.track).items():
            if (checkpoint := self.at(millions)) is not None:
                yield name, checkpoint

    # --- all of it ------------------------------------------------------------------------------------------------

    def write(self, out: Path) -> Path:
        """Writes every prediction file that can be made, and the collated one, whose path it returns.

        What could not be made stands in `left_out` with the reason.  Raises OntogenyError for a folder of somebody else's.
        """
        top = out / self.name
        collated = f"all_full_preds_and_fast_scores_{self.backend}.json"
        disk.claim(top, collated, "Name another folder with --out")
        last, whole = self.checkpoints[-1], dict.fromkeys(ORDER)
        for task in PAIRS:
            whole[task.key] = self._made(top, "main", task, "predictions.json", lambda task=task: self.pairs(task, last))
        whole["reading"] = self._made(top, "main", READING, "predictions.json", lambda: self.reading(last))
        whole["aoa_surprisals"] = self._made(top, "main", AOA, "surprisal.json", self.aoa)
        whole["glue"] = {}
        whole["fast_eval_results"] = self._fast(top)
        _write_json(top / collated, whole)
        return top / collated

    def _fast(self, top: Path) -> dict[str, list[Any]]:
        """Of each fast task a share of right answers by paradigm, a revision each; null where it could not be made."""
        found: dict[str, list[Any]] = {key: [None] * len(revisions(self.track)) for key in FAST_KEYS}
        reached = dict(self._revisions())
        if lacking := [name for name in revisions(self.track) if name not in reached]:
            self.left_out["revisions"] = f"no checkpoint has seen the words of {', '.join(lacking)}"
        there = [task for task in FAST if self._find(task.data)]
        self.left_out |= {task.place: f"no {task.data} in {self.data}" for task in FAST if task not in there}
        for number, name in enumerate(revisions(self.track)):
            for task in there if name in reached else ():
                checkpoint = reached[name]
                made = self._made(top, name, task, "predictions.json", lambda t=task, c=checkpoint: self.pairs(t, c))
                found[task.key][number] = None if made is None else self._shares(task, made)
            if name in reached and (file := self._find(FAST_READING.data)):
                read = lambda c=reached[name]: self.reading(c, FAST_READING)  # noqa: E731
                made = self._made(top, name, FAST_READING, "predictions.json", read)
                with self._left_out_if_wrong("fast reading"):
                    found["reading"][number] = reading_scores(file, made) if made else None
        return found

    def _shares(self, task: SubmittedTask, made: Predictions) -> dict[str, float]:
        right: dict[str, list[bool]] = {}
        for uid, _, answers, _ in self._items(task):
            own = right.setdefault(uid, [])
            own.append(made[uid]["predictions"][len(own)]["pred"].strip() == answers[0].strip())
        return {uid: sum(own) / len(own) for uid, own in right.items()}

    def _made(self, top: Path, revision: str, task: SubmittedTask, file: str, make: Any) -> Any:
        """What `make` gives, also written as a file of the pipeline's; None where it cannot be had, and why is kept."""
        found = None
        with self._left_out_if_wrong(task.key if revision == "main" else f"{task.place.rpartition('/')[2]} ({revision})"):
            found = make()
        if found is not None:
            _write_json(top / revision / "zero_shot" / self.backend / task.place / file, found)
        return found

    @contextmanager
    def _left_out_if_wrong(self, name: str) -> Iterator[None]:
        try:
            yield
        except OntogenyError as error:
            self.left_out[name] = str(error)


def reading_scores(file: Path, made: Predictions) -> dict[str, float | None]:
    """Of self-paced and eye-tracked reading times, the share that surprisals tell of what length, frequency and place leave.

    `file`: the words with their times, `made`: what was predicted of them.  Raises OntogenyError for a table without times.
    """
    words, rows = read_table(file), made["reading"]["predictions"]
    every = np.full(sum(len(text.split()) for text in words.sentences), np.nan)
    every[words.at - 1] = [np.nan if row["prev_pred"] is None else row["prev_pred"] for row in rows]
    every[words.at] = [row["pred"] for row in rows]
    there = {name: measure for name, measure in READ.items() if measure in words.measures}
    found = {name: explained(words, measure, words.measures[measure], every, 0).r2 for name, measure in there.items()}
    return {name: None if share is None else share / 100 for name, share in found.items()}


def _write_json(path: Path, value: Any) -> None:
    with disk.atomic(path) as temporary:
        temporary.write_text(json.dumps(plain(value), ensure_ascii=False), encoding="utf-8")
