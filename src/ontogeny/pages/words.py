"""Numbers and lists as people say them."""

from __future__ import annotations

from collections.abc import Sequence

from ontogeny.display import count as count  # the terminal says it too

MEANINGS = {
    "entrenched": "Stuck: wrong early, wrong at the end, and never right for a while in between.",
    "forgotten": "Right for a while, and then no longer: wrong at the end, or far below its best.",
    "late-wrong": "Wrong at the end, but not as part of one unbroken early error.",
    "late recovery": "Wrong first, right at the end. What being stuck cost is counted in steps and words.",
    "u-shaped": "Right, then wrong, then right again.",
    "learned": "Right at the end, without having been wrong for a while before.",
    "escaped": "Wrong early or for a while, and no longer wrong at the end, but not right either.",
    "never separated": "Neither right nor wrong for long, and at the end as good as chance.",
    "undecided": "None of the others: the curve is not clear enough to say.",
    "unobserved": "Too few checkpoints early or late, or too few pairs, to say anything.",
}

NAMED = 3  # names that are written out of a longer list


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """a, b, c and 6 more."""
    if len(names) <= most + 1:
        return enumerated(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def enumerated(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def were(number: int) -> str:
    """Was or were."""
    return "was" if number == 1 else "were"


def human(number: float) -> str:
    """1.45M, 300k, 20: three digits."""
    for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{suffix}"
    return f"{number:.3g}"


def percent(share: float) -> str:
    """8 %, and never 100 % for less than all."""
    return "less than 1 %" if 0 < share < 0.01 else f"{min(int(share * 100), 100)} %"


def decimals(value: float | None, digits: int = 3) -> str:
    """.585, −.020: a share, or a difference of shares; nothing for what is not known."""
    text = "" if value is None else f"{value:.{digits}f}".replace("-", "−")
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text


def difference(value: float | None, digits: int = 3) -> str:
    """+.160, −.020."""
    return f"{'+' if value is not None and value > 0 else ''}{decimals(value, digits)}"


def probability(p: float) -> str:
    """= .013, < .001."""
    return "< .001" if p < 0.001 else f"= {decimals(p)}"
