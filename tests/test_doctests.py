"""Every example in a public docstring runs and prints what it says.

Tested: all modules of the package; lines marked +SKIP are passed over.
Not tested: examples in README and examples/ (their own tests).
"""

import doctest
import importlib
import pkgutil

import pytest

import stablevid_tf

# The other backend's module cannot be imported beside the one that runs; running
# `python -m` entry points is not importing.
SKIPPED = {"stablevid_tf.backend.jax"}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(stablevid_tf.__path__, "stablevid_tf.")
    if module.name not in SKIPPED
)
# What a reader has from the lines before: `np`, `Path`, and so on are said in each.
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def examples(name):
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, name)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    report = []
    for test in examples(name):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_there_are_examples():
    rooms = {name.split(".")[1] for name in MODULES if examples(name)}
    assert {"numerics", "metrics", "losses", "layers", "models", "constraints"} <= rooms
