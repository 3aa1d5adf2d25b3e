"""The floors of the house: a room imports only from floors below its own.  docs/map.md draws the same floors."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "ontogeny"

# Top to bottom.  A room is a folder, or a file that stands alone; rooms of one floor know nothing of each other.
FLOORS = (
    ("cli",),
    ("adoption", "auditing", "early_warning", "made_suites", "overview", "studies", "sweeps"),
    ("comparison", "laboratory"),
    ("ngram_evidence",),
    ("judging",),
    ("report",),
    ("evidence", "readers"),
    ("trajectories", "interventions", "instruments"),
    ("scoring",),
    ("pages", "training", "ngrams"),
    ("suites",),
    ("corpora", "tokens", "architectures", "grids"),
    ("recipe", "store", "display"),
    ("registry",),
    ("records",),
)
FLOOR = {room: height for height, rooms in enumerate(reversed(FLOORS)) for room in rooms}
DOORS = ("__init__", "__main__")  # of the package: the one knows all names, the other is the command line
FILES = [file for file in sorted(HOUSE.rglob("*.py")) if file.parent != HOUSE or file.stem not in DOORS]


def room_of(module):
    """ontogeny.tokens.trained -> tokens"""
    return module.split(".")[1]


def module_of(file):
    return ".".join(file.relative_to(HOUSE.parent).with_suffix("").parts)


def imports(file):
    """(line, module) of every import of ours, wherever it stands, also those for types alone."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "ontogeny":
            names = [f"ontogeny.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute here"
            names = [node.module]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.startswith("ontogeny."))


def test_every_room_has_a_floor():
    there = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - set(DOORS)
    assert there == set(FLOOR)


def test_rooms_import_only_from_floors_below():
    climbing = []
    for file in FILES:
        who = room_of(module_of(file))
        for line, module in imports(file):
            whom = room_of(module)
            if whom != who and FLOOR[whom] >= FLOOR[who]:
                climbing.append(f"{file.relative_to(ROOT)}:{line}: {who} imports {whom}")
    assert climbing == []


@pytest.mark.parametrize("heavy", ["torch", "transformers"])
def test_the_command_line_waits_for_heavy_libraries(heavy):
    """Files that a mere --help loads import neither at their top."""
    for room in ("__init__", "cli", "records", "registry", "recipe"):
        top = ast.parse((HOUSE / f"{room}.py").read_text(encoding="utf-8")).body
        named = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
        named += [node.module for node in top if isinstance(node, ast.ImportFrom)]
        assert not [name for name in named if name.split(".")[0] == heavy]


def test_the_map_draws_these_floors():
    text = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    drawn = re.search(r"^```text floors\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]
    assert [tuple(re.split(r", *", line.split("  ")[0])) for line in drawn.splitlines()] == [tuple(rooms) for rooms in FLOORS]
    assert [room for room in FLOOR if not re.search(rf"^\| `{room}(/|\.py)` \|", text, re.MULTILINE)] == []
