"""The arrows between rooms go one way, and `BUILD.md` shows every one of them."""

import ast
import graphlib
import re

import pytest

from tests.conftest import ROOT

DOORS = {
    *("abe_tf", "abe_tf.train", "abe_tf.evaluate", "abe_tf.report", "abe_tf.summary"),
    *("abe_tf.encoders", "abe_tf.sweep", "abe_tf.compare"),
    *("abe_tf.data.__main__", "abe_tf.__main__"),
    *("abe_tf.index", "abe_tf.search", "abe_tf.browse"),
    *("abe_tf.duplicates", "abe_tf.groups", "abe_tf.label"),
    *("abe_tf.embed", "abe_tf.hand_over"),
    *("export", "export.saved_model", "export.local_server", "export.client"),
}
TOPS = ("abe_tf", "export", "tests", "benchmarks")
ROW = re.compile(r"^\| `((?:abe_tf|export)[\w.]*)` \|.*\|([^|]*)\|$", re.MULTILINE)


def drawn():
    """The arrows of BUILD.md: rooms by the room that may import them."""
    text = (ROOT / "BUILD.md").read_text(encoding="utf-8")
    return {room: set(re.findall(r"`([\w.]+)`", to)) for room, to in ROW.findall(text)}


def modules():
    """Every module of the project, and the file that it is."""
    found = {}
    for top in ("abe_tf", "export"):
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found[name] = path
    return found


def room_of(module, rooms):
    """The innermost room that a module lies in; the module itself for a door."""
    if module in DOORS:
        return module
    inside = [room for room in rooms if f"{module}.".startswith(f"{room}.")]
    assert inside, f"{module} lies in no room of BUILD.md"
    return max(inside, key=len)


def imports(path, known):
    """The modules of the project that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide where they go"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [n if n in known else n.rpartition(".")[0] for n in names]
        yield from (name for name in names if name in known)


def arrows(rooms):
    """The arrows that there are, each with an import that makes it."""
    known = modules()
    found = {}
    for module, path in known.items():
        room = room_of(module, rooms)
        for imported in imports(path, known):
            other = room_of(imported, rooms)
            if other != room:
                found.setdefault((room, other), f"{module} imports {imported}")
    return found


def wrong(rooms, found):
    """What is wrong with imports, a line each, with both rooms in it."""
    for (room, other), example in found.items():
        if other in DOORS and other not in rooms:
            yield f"{room} -> {other} is an arrow to a door: {example}"
        elif room in rooms and other not in rooms[room]:
            yield f"{room} -> {other} is no arrow of BUILD.md: {example}"
    for room, others in rooms.items():
        for other in sorted(others):
            if (room, other) not in found:
                yield f"{room} -> {other} is an arrow of BUILD.md that nothing needs"


def test_every_import_is_an_arrow_of_build_md_and_every_arrow_an_import():
    rooms = drawn()
    assert len(rooms) > 15
    lines = list(wrong(rooms, arrows(rooms)))
    assert not lines, "\n".join(lines)


NAMED = re.compile(
    r"(?:from|import|-m\"?,?) +\"?((?:abe_tf|export|tests|benchmarks)(?:\.\w+)*)"
)


def test_modules_that_are_named_in_texts_exist():
    """Programs in strings, commands in documents: no import shows that one moved."""
    paths = [p for top in TOPS for p in (ROOT / top).rglob("*.py")]
    paths += [ROOT / name for name in ("README.md", "BUILD.md", "Makefile")]
    paths += (ROOT / "docs").glob("*.md")
    for path in paths:
        for name in NAMED.findall(path.read_text(encoding="utf-8")):
            place = ROOT.joinpath(*name.split("."))
            exists = place.is_dir() or place.with_suffix(".py").is_file()
            assert exists, (
                f"{path.relative_to(ROOT)} names {name}, which does not exist"
            )


def test_there_is_no_circle():
    order = list(graphlib.TopologicalSorter(drawn()).static_order())
    assert order.index("abe_tf.errors") < order.index("abe_tf.session")


def test_an_import_that_runs_up_and_a_circle_are_told_with_both_rooms():
    rooms = {"abe_tf.a": set(), "abe_tf.b": {"abe_tf.a"}}
    found = {("abe_tf.a", "abe_tf.b"): "x imports y"}
    up, unused = wrong(rooms, found)
    assert up.startswith("abe_tf.a -> abe_tf.b is no arrow of BUILD.md: x imports y")
    assert unused.startswith(
        "abe_tf.b -> abe_tf.a is an arrow of BUILD.md that nothing"
    )
    rooms["abe_tf.a"] = {"abe_tf.b"}
    with pytest.raises(graphlib.CycleError, match=r"abe_tf\.a.*abe_tf\.b"):
        list(graphlib.TopologicalSorter(rooms).static_order())


def test_docstrings_name_the_thing_that_they_describe():
    """Not "folder: Of the index", but "folder: Folder of the index"."""
    dialect = re.compile(r"^\s+\w+: (Of|As of|The same|Those among|How many)\b", re.M)
    found = {
        str(path.relative_to(ROOT)): dialect.findall(path.read_text())
        for room in ("abe_tf", "export")
        for path in (ROOT / room).rglob("*.py")
        if dialect.search(path.read_text())
    }
    assert not found


def test_functions_are_traced_as_they_are_written():
    """AutoGraph took a fifth of the time of a small evaluation."""
    found = []
    for room in ("abe_tf", "export"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                if ast.unparse(node.func) == "tf.function":
                    said = {word.arg for word in node.keywords}
                    found += [] if "autograph" in said else [f"{path}:{node.lineno}"]
    assert not found
