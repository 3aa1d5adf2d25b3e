"""A page that explains one paradigm, or one pair, by n-grams, to a reader who need not know what they are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontogeny.disk import atomic, file_name
from ontogeny.pages.templates import STANDALONE, PageFrame, look
from ontogeny.report import why_words as words
from ontogeny.report.examples import marked

if TYPE_CHECKING:
    from ontogeny.evidence.why import Explanation
    from ontogeny.records import Pair

CONTEXT = 90  # characters of a line kept on either side of its key
FULL = math.log(1e5)  # nats: a token this unlikely has a full bar
WAY = re.compile(r"-(token|word)-\d+$", re.IGNORECASE)  # how names end of pages that are not about bigrams of words


def name_of(explanation: Explanation, pair: str | None, pairs: Iterable[tuple[str, Pair]]) -> str:
    """The page's name: PARADIGM, PARADIGM-PAIR, and -LEVEL-ORDER where that is not word-2.

    `pairs`: all of the run's, with their suites.  Where the page of another of these would have the name too, or this name but for
    its capitals, it gets a hash.
    """
    own = [explanation.paradigm, *([pair] if pair else [])]
    plain = "-".join(own)
    way = "" if (explanation.level, explanation.order) == ("word", 2) else f"-{explanation.level}-{explanation.order}"
    alike = {
        (suite, *names)
        for suite, other in pairs
        for names in ((other.paradigm,), (other.paradigm, other.pair))
        if "-".join(names).casefold() == plain.casefold()
    }
    apart = [explanation.suite, *own, way] if len(alike) > 1 or WAY.search(plain) else None
    return file_name(plain + way, apart)


def write(path: Path, explanation: Explanation) -> Path:
    """Writes the page, whole or not at all, and returns its path.  It needs no script and asks the network for nothing."""
    with atomic(path) as temporary:
        temporary.write_text(render(explanation), encoding="utf-8")
    return path


def render(explanation: Explanation, frame: PageFrame = STANDALONE) -> str:
    """The page as HTML."""
    good, bad = marked(explanation.example.good, explanation.example.bad)
    return frame.render(
        "why.html.jinja",
        Path(__file__).parent,
        {},
        e=explanation,
        headline=words.headline(explanation),
        story=words.story(explanation),
        strongest=words.strongest(explanation),
        example={"good": good, "bad": bad},
        name=words.order_name(explanation.order),
        knows=words.knows(explanation.order, explanation.level),
        deciding=_deciding(explanation),
        patterns=_patterns(explanation),
        strips=[_strip(strip) for strip in words.strips(explanation.sentences)],
        concordance=[(rank, [_lines(group) for group in groups]) for rank, groups in words.behind(explanation)],
        **look(),
    )


def _deciding(explanation: Explanation) -> list[dict[str, Any]]:
    rows = explanation.deciding.sort("rank").to_dicts()
    most = max((abs(row["contribution"]) for row in rows), default=0.0) or 1.0
    return [
        {
            "rank": row["rank"],
            "sides": [_side(row, side) for side in ("good", "bad")],
            "for": "good" if row["contribution"] >= 0 else "bad",
            "so": words.so(row),
            "pairs": row["pairs"],
            "contribution": f"{row['contribution']:+.2f}".replace("-", "−"),
            "width": round(50 * abs(row["contribution"]) / most, 1),  # percent of the bar's cell, from its middle
        }
        for row in rows
    ]


def _side(row: dict[str, Any], side: str) -> dict[str, str] | None:
    if row[side] is None:
        return None
    before, last = words.parted(row[side])
    return {
        "side": side,
        "before": before,
        "last": last,
        "chance": words.chance(row[f"logp_{side}"]),
        "seen": words.seen(row, side),
    }


def _patterns(explanation: Explanation) -> list[dict[str, Any]]:
    """Transitions summed over what varies in them, where that says more than the transitions themselves."""
    rows = explanation.patterns.to_dicts()
    return [row | {"contribution": f"{row['contribution']:+.2f}".replace("-", "−")} for row in rows if row["meetings"] > 1]


def _strip(strip: dict[str, Any]) -> dict[str, Any]:
    margin = strip["margin"]
    return strip | {
        "preferred": "good" if margin > 0 else "bad" if margin < 0 else None,
        "likelier": words.likelier(abs(margin)),
        "sides": [
            (side, [(token, words.chance(logp), min(1.0, -logp / FULL), apart) for token, logp, apart in tokens])
            for side, tokens in strip["sides"]
        ],
    }


def _lines(group: words.Lines) -> dict[str, Any]:
    cut = [row | {"left": row["left"][-CONTEXT:], "right": row["right"][:CONTEXT], "place": _place(row)} for row in group.rows]
    what, often = words.heading(group)
    return {"side": group.side, "what": what, "often": often, "rows": cut}


def _place(row: dict[str, Any]) -> str:
    return f"{row['source']}:{row['line']}" if row["line"] else str(row["source"])
