"""What a type checker says of code that uses the package.

Tested: mypy, with the settings in pyproject.toml, accepts `typing/public_api.py`, and
refuses wrong names and arguments; that file uses every exported name; every exported
function and every public method has hints, which name types that exist.
Not tested: that hints are true where a function is not called there; the arguments of
cells and layers, which have no hints yet; what Keras' own types are (it ships none).
"""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "tests" / "typing" / "public_api.py"
PACKAGES = (
    "cells",
    "constraints",
    "data",
    "data.builders",
    "data.degradations",
    "data.sequences",
    "diagnostics",
    "evaluation",
    "hub",
    "layers",
    "losses",
    "metrics",
    "models",
    "numerics",
    "streaming",
    "training",
    "zoo",
)
# Without hints yet.
UNHINTED = {"cells", "layers", "training.Recipe"}
WRONG = """\
import numpy as np

from stablevid_tf import data, diagnostics, metrics, models, streaming

clip = np.zeros((7, 32, 48, 3), "float32")
data.ClipDatasets  # wrong
data.open_video("a.mp4", allow_damage=True)  # wrong
diagnostics.certify(None).proved  # wrong
metrics.tof(clip, clip, crop="8")  # wrong
verdict: int = diagnostics.long_run(None, clip).verdict  # wrong
models.build(64)  # wrong
streaming.restore(None, clip, strategy=7)  # wrong
streaming.Guard(burnin=7)  # wrong
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """A function that checks a file: mypy's exit status and what it said."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    cache = tmp_path_factory.mktemp("mypy")

    def check(path):
        options = ["--config-file", ROOT / "pyproject.toml", "--cache-dir", cache]
        command = [sys.executable, "-m", "mypy", *options, path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return check


def test_mypy_accepts_every_public_name(mypy):
    status, said = mypy(FILE)
    assert status == 0, said


def test_mypy_refuses_what_is_wrong(mypy, tmp_path):
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    status, said = mypy(path)
    found = {int(line) for line in re.findall(r"wrong\.py:(\d+): error", said)}
    lines = WRONG.splitlines()
    wanted = {n for n, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert status == 1
    assert found == wanted, said


def exported(package):
    """The names that a package exports, or that a module defines."""
    module = importlib.import_module(f"stablevid_tf.{package}")
    own = [n for n, x in vars(module).items() if is_own(x, module) and n[0] != "_"]
    return getattr(module, "__all__", own)


def is_own(found, module):
    defined = inspect.isclass(found) or inspect.isfunction(found)
    return defined and found.__module__ == module.__name__


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_used(package):
    tree = ast.parse(FILE.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == package.split(".")[-1]
    }
    names = set(exported(package))
    assert names
    assert names - used == set()


def functions(found):
    """A function, or a class' constructor, public methods and properties."""
    if inspect.isfunction(found):
        yield found
    if not inspect.isclass(found):
        return
    seen = set()
    for each in found.__mro__:
        if not each.__module__.startswith("stablevid_tf."):
            continue
        for name, member in vars(each).items():
            member = getattr(member, "fget", getattr(member, "__func__", member))
            public = name == "__init__" or not name.startswith("_")
            if public and name not in seen and inspect.isfunction(member):
                seen.add(name)
                yield member


@pytest.mark.parametrize("package", [p for p in PACKAGES if p not in UNHINTED])
def test_every_parameter_and_result_has_a_hint(package):
    if package in ("data", "data.builders"):
        pytest.importorskip("tensorflow_datasets", reason="needs the extra tfds")
    module = importlib.import_module(f"stablevid_tf.{package}")
    for name in exported(package):
        if f"{package}.{name}" in UNHINTED:
            continue
        for function in functions(getattr(module, name)):
            parameters = set(inspect.signature(function).parameters) - {"self", "cls"}
            hints = typing.get_type_hints(function)
            assert hints.keys() == parameters | {"return"}, function.__qualname__
