"""The floors of the house: imports run only downwards.

Tested: every import statement of the package, found by walking syntax trees, against
the table below; that only `backend/` and `data/` name a framework; that `data/` never
imports a model room; that the rooms of floor 5 do not import one another; one public
class a file.
Not tested: imports made by name at run time (there should be none).
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "stablevid_tf"
NAME = "stablevid_tf"

# Rooms may import rooms of lower floors; on their own floor only what SIDEWAYS names.
FLOORS = {
    "backend": 0,
    "hub": 0,
    "numerics": 1,
    "metrics": 1,
    "losses": 1,
    "layers": 2,
    "constraints": 2,
    "cells": 3,
    "models": 4,
    "training": 5,
    "streaming": 5,
    "diagnostics": 5,
    "data": 5,
    "zoo": 5,
    "evaluation": 6,
    "cli": 7,
}
SIDEWAYS = {
    ("constraints", "layers"),
    # An entry's name in place of a model.
    ("streaming", "zoo"),
    *((r, "data") for r in FLOORS if FLOORS[r] == 5),
}
MODEL_ROOMS = {"numerics", "layers", "constraints", "cells", "models"}
FRAMEWORKS = {"tensorflow", "jax", "torch", "tensorflow_datasets"}

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(tree):
    """Full dotted names of everything imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == NAME:
                yield from (f"{NAME}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def violations(room, names):
    """What of ``names`` a file of ``room`` may not import."""
    for name in names:
        first, *rest = name.split(".")
        if first in FRAMEWORKS and room not in ("backend", "data"):
            yield f"{room} names the framework {first}"
        if first != NAME or not rest:
            continue
        target = rest[0]
        if target not in FLOORS:
            yield f"{room} imports {name}, which the table does not hold"
        elif target != room and (room, target) not in SIDEWAYS:
            if FLOORS[target] >= FLOORS[room]:
                yield f"{room} imports {target}, not on a lower floor"
            if room == "data" and target in MODEL_ROOMS:
                yield f"data imports the model room {target}"


def test_every_room_is_in_the_table():
    assert FILES
    assert {room_of(f) for f in FILES} - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downwards(path):
    tree = ast.parse(path.read_text())
    if room_of(path) == "__init__":
        # The door itself: light, and above every room.
        assert not FRAMEWORKS & {n.split(".")[0] for n in imports(tree)}
        return
    assert not list(violations(room_of(path), imports(tree)))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_one_public_class_a_file_and_no_framework_by_name(path):
    tree = ast.parse(path.read_text())
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef)]
    public = [c.name for c in classes if not c.name.startswith("_")]
    # A loop is described by four small records in one file.
    assert len(public) <= 1 or path.name == "loop.py"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(
            node.func, ast.Name | ast.Attribute
        ):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert called not in ("import_module", "__import__")


def test_the_backends_offer_the_same_names():
    names = []
    for path in (PACKAGE / "backend" / "tensorflow.py", PACKAGE / "backend" / "jax.py"):
        tree = ast.parse(path.read_text())
        (listed,) = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
        ]
        bound = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                bound |= {target.id for target in node.targets}
        assert set(listed) <= bound
        names.append(set(listed))
    assert names[0] == names[1]


@pytest.mark.parametrize(
    "room, name",
    [
        ("numerics", f"{NAME}.layers.loop"),
        ("layers", f"{NAME}.constraints"),
        ("cells", f"{NAME}.models"),
        ("training", f"{NAME}.streaming.restore"),
        ("streaming", f"{NAME}.diagnostics"),
        ("zoo", f"{NAME}.streaming"),
        ("data", f"{NAME}.numerics"),
        ("models", "tensorflow"),
        ("layers", "jax.numpy"),
        ("models", f"{NAME}.attic"),
    ],
)
def test_the_rules_can_fail(room, name):
    assert list(violations(room, [name]))


@pytest.mark.parametrize(
    "room, name",
    [
        ("data", "tensorflow"),
        ("training", f"{NAME}.data.video"),
        ("streaming", f"{NAME}.models"),
        ("streaming", f"{NAME}.zoo"),
        ("constraints", f"{NAME}.layers"),
        ("zoo", f"{NAME}.models"),
        ("models", "keras"),
    ],
)
def test_the_rules_allow_what_the_table_allows(room, name):
    assert not list(violations(room, [name]))
