"""One checkpoint: what it is, what was read off it, whether it is what was written; and what it says, if it is asked to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ontogeny.disk import human_size, read_json, table_metadata
from ontogeny.explorer.addresses import Asked, View
from ontogeny.explorer.errands import Errand, outcome
from ontogeny.explorer.seen import COLUMNS, evenly
from ontogeny.explorer.views.pairs import checkpoint_of, moment_of
from ontogeny.explorer.views.runs import trail_of
from ontogeny.records import Checkpoint
from ontogeny.report.provenance import flattened
from ontogeny.store import RunFolder, fault, sealed_weights

SAMPLES, LONGEST = 4, 40  # texts, and tokens of each
SOON = 0.02  # seconds that the page waits for what it can do without: where else the weights are


def checkpoint(asked: Asked) -> View:
    """A checkpoint."""
    run = asked.shelf.run(asked.names["run"])
    title = asked.shelf.title(run.path)
    steps = asked.shelf.known("steps", run, lambda run: {seed: run.steps(seed) for seed in run.seeds()})
    seed, step = moment_of(asked, run, steps)
    one = checkpoint_of(run, seed, step)
    own = run.has_checkpoint(seed, step)
    key, said = ("weights", str(run.path), asked.shelf.news(run)), "looking for the same weights elsewhere"
    alike = asked.shelf.errands.ask(key, said, lambda _: _weights(run, steps), asked.wait and SOON)
    known = outcome(alike) if alike.future.done() else {}
    weights = weights_of(one)
    texts = _texts(asked, run, seed, step)
    facts = read_json(one.folder / "ontogeny.json") if own else {}
    facts |= {key: round(value) for key, value in facts.items() if key in ("tokens", "words") and isinstance(value, float)}
    return View(
        title=f"step {step:,}, seed {seed}",
        template="checkpoint.html.jinja",
        values={
            "seed": seed,
            "step": step,
            "steps": [(at, asked.link("checkpoint", title, seed, at)) for at in evenly(steps[seed], COLUMNS)],
            "seeds": [(other, asked.link("checkpoint", title, other, step)) for other in steps if step in steps[other]],
            "warnings": [wrong] if own and (wrong := fault(one.folder)) else [],
            "facts": [
                *flattened({k: v for k, v in facts.items() if k not in ("step", "seed")}),
                ("folder", str(one.folder)),
                ("size", human_size(sum(file.stat().st_size for file in one.folder.glob("*")))),
                ("weights", weights or "not sealed"),
                *(flattened({"repository": one.revision.repo, "commit": one.revision.commit}) if one.revision else []),
            ],
            "same": [(where, asked.link("checkpoint", title, *where)) for where in known.get(weights, ()) if where != (seed, step)],
            "scores": [(suite, _about(run.scores(seed, suite, step), weights)) for suite in run.suites()],
            "readings": _readings(run, seed, step),
            "writes": texts is not None,
            "texts": outcome(texts) if texts and texts.future.done() else [],
        },
        trail=trail_of(asked, run),
        waits=next((one for one in (texts, alike) if one and not one.future.done()), None),
    )


def _weights(run: RunFolder, steps: dict[int, list[int]]) -> dict[str, list[tuple[int, int]]]:
    """Seeds and steps by the hash of their weights, as far as it is known."""
    found: dict[str, list[tuple[int, int]]] = {}
    for seed, own in steps.items():
        there = run.checkpoints(seed) if run.adopted() else (Checkpoint(step, run.checkpoint(seed, step)) for step in own)
        for one in there:
            if weights := weights_of(one):
                found.setdefault(weights, []).append((seed, one.step))
    return found


def weights_of(one: Checkpoint) -> str | None:
    """The hash of a checkpoint's weights: as it was sealed, or as the hub has it."""
    return sealed_weights(one.folder) or (one.revision.content if one.revision else None)


def _about(path: Any, weights: str | None) -> str:
    """Whether a table is there, and is about these weights."""
    if not path.exists():
        return "not read"
    of = table_metadata(path).get("weights")
    return "read" if of is None or weights is None or of == weights else "read off other weights than are here now"


def _readings(run: RunFolder, seed: int, step: int) -> list[tuple[str, str]]:
    there = sorted({path.name for path in run.readings(seed).glob("*") if path.is_dir()})
    return [(name, "read" if run.reading(name, seed, step).exists() else "not read") for name in there]


# --- what it says -------------------------------------------------------------------------------------------------


def _texts(asked: Asked, run: RunFolder, seed: int, step: int) -> Errand | None:
    key = ("texts", str(run.path), seed, step)
    if not asked.live or ("texts" not in asked.query and not asked.shelf.errands.known(key)):
        return None
    return asked.shelf.errands.ask(key, f"opening step {step:,}", lambda _: written(run, seed, step))


def written(run: RunFolder, seed: int, step: int) -> list[str]:
    """Texts that a causal model writes after its first token, drawn from all that it predicts, the same each time."""
    import numpy as np

    from ontogeny.instruments import samples
    from ontogeny.records import OntogenyError
    from ontogeny.scoring import masked
    from ontogeny.scoring.reading import open_model
    from ontogeny.tokens.pretrained import open_tokenizer

    folder = checkpoint_of(run, seed, step).folder
    model = open_model(folder).eval()
    if masked.is_masked(model):
        raise OntogenyError("a masked model writes no texts")
    tokenizer = open_tokenizer(folder)
    first = next((one for one in (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id) if one is not None), 0)
    length = min(LONGEST, (getattr(model.config, "max_position_embeddings", None) or LONGEST + 1) - 1)
    asked: Any = SimpleNamespace(model=model, tokenizer=tokenizer, first=first, device=model.device)
    text, *_ = samples.written(asked, np.full((SAMPLES, 1), first), length, np.random.default_rng(0).random((SAMPLES, length)))
    return samples.texts_of(asked, text)
