"""The floors of the house: a room imports only from floors below its own, no file in a circle, no class has another's name.

docs/map.md draws the same floors.
"""

import ast
import re
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from ontogeny.registry import FORMER

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "ontogeny"

# Top to bottom.  A room is a folder, or a file that stands alone; rooms of one floor know nothing of each other.
FLOORS = (
    ("cli",),
    ("explorer",),
    ("commands", "studies", "watch"),
    ("comparison", "laboratory"),
    ("opened",),
    ("ngram_evidence", "trackers", "early_warning"),
    ("judging",),
    ("report",),
    ("results",),
    ("evidence", "readers"),
    ("instruments",),
    ("trajectories", "interventions"),
    ("scoring", "work"),
    ("pages", "training", "ngrams"),
    ("suites",),
    ("corpora", "tokens", "architectures", "grids", "sources"),
    ("foreign",),
    ("files",),
    ("recipe", "store", "display", "machine", "estimators"),
    ("disk",),
    ("registry", "shapes", "codebook", "leases", "yaml_text"),
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


def modules_it_waits_for(file, modules):
    """The modules that a file's imports load, at its top or when a function is called; not those for types alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                yield whole if whole in modules else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def circle(files):
    """Modules that import one another in turn; None where there is no such circle."""
    modules = {module_of(file).removesuffix(".__init__"): file for file in files}
    graph = {name: {*modules_it_waits_for(file, modules)} & {*modules} - {name} for name, file in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_no_files_import_one_another_in_a_circle():
    assert circle(FILES) is None


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ("import ontogeny.one\n", True),
        ("def late():\n    from ontogeny import one\n", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ontogeny.one import One\n", False),
    ],
)
def test_a_circle_is_found_wherever_an_import_stands(second, found, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "HOUSE", tmp_path / "ontogeny")
    (tmp_path / "ontogeny").mkdir()
    files = [tmp_path / "ontogeny" / "one.py", tmp_path / "ontogeny" / "two.py"]
    for file, text in zip(files, ("from ontogeny.two import Two\n", second), strict=True):
        file.write_text(text, encoding="utf-8")
    assert (circle(files) is not None) == found


def test_no_two_public_classes_have_one_name():
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in FILES)
    classes = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert [name for name, times in Counter(classes).items() if times > 1 and not name.startswith("_")] == []


@pytest.mark.parametrize(("room", "old", "new"), [(room, *names) for room, table in FORMER.items() for names in table.items()])
def test_a_former_name_is_still_imported_with_a_warning_that_says_the_new_one(room, old, new):
    module = import_module(room)
    with pytest.warns(DeprecationWarning, match=rf"^{room}\.{old} is called {new} now; "):
        assert getattr(module, old) is getattr(module, new)
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = module.nothing


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


DOORS_TO_TABLES = re.compile(r"(read|scan)_\w+")
GLOBS = ("scan_parquet", "read_parquet", "read_csv")  # of polars, by default


def calls(file):
    """(node, name of what the method is called on, its own name) of every method call."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, getattr(node.func.value, "id", ""), node.func.attr


def test_tables_are_opened_in_one_room_and_never_by_a_pattern():
    """polars takes `[1]`, `*` and `?` in a path for a pattern: the verdicts of runs[1] would be those of runs1."""
    opening = [
        (file.relative_to(HOUSE).as_posix(), name, {word.arg: ast.unparse(word.value) for word in node.keywords})
        for file in FILES
        for node, whose, name in calls(file)
        if whose in ("pl", "polars", "pq", "pandas", "pd") and DOORS_TO_TABLES.fullmatch(name)
    ]
    assert {file for file, _, _ in opening} == {"disk.py"}
    assert all(words.get("glob") == "False" for _, name, words in opening if name in GLOBS)
    assert {name for _, name, _ in opening} == {*GLOBS, "read_parquet_metadata", "read_ipc_stream"}  # the last of bytes


def test_nobodys_name_is_part_of_a_pattern():
    """Patterns of files are written in the code: a folder's own name stands before them, where it is taken as it is."""
    written = ("suites/jsonl.py", "foreign.py")  # theirs are constants of the class or file
    strange = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for file in FILES
        for node, _, name in calls(file)
        if name in ("glob", "rglob", "iglob") and file.relative_to(HOUSE).as_posix() not in written
        if any(isinstance(part, ast.Name) and part.id != "DONE" for argument in node.args for part in ast.walk(argument))
    ]
    assert strange == []
