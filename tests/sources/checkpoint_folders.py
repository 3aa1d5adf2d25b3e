"""Folders that look like checkpoints, and what is found in them."""

from ontogeny import sources


def folders(root, *names):
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "config.json").write_text("{}")
    return root


def found(source, *wanted):
    """Step and words of each checkpoint, by seed."""
    seeds = sources.find(source, wanted).seeds
    return {seed: [(c.step, c.words) for c in checkpoints] for seed, checkpoints in seeds.items()}


def steps(source, *wanted):
    """Step and tokens of each checkpoint of the only seed."""
    (checkpoints,) = sources.find(source, wanted).seeds.values()
    return [(c.step, c.tokens) for c in checkpoints]


def left(source, *wanted):
    """What was not taken, and why."""
    return {one.label: one.reason for one in sources.find(source, wanted).not_taken}
