"""Tested: names by task, defaults, what model.toml says of both, and the table that
`stablevid zoo list` prints; the version; that none of them imports Keras.
Not tested: whether a default is good (its card and the benchmarks).
"""

import math
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stablevid_tf import models, zoo
from stablevid_tf.zoo.entries import TASKS, all_entries, folder_of, read
from stablevid_tf.zoo.table import table

HEAD = ["NAME", "TASK", "INPUT", "PARAMETERS", "CERTIFIED"]
MADE_UP = """
architecture = "vresnet_feat"
{}
[weights]
file = "model.weights.h5"
sha256 = ""
"""


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A function that puts a made-up entry on an otherwise empty shelf."""
    monkeypatch.setattr("stablevid_tf.zoo.entries._CHECKOUT", tmp_path)

    def put(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.toml").write_text(MADE_UP.format(text))

    return put


def test_tasks_and_study_divide_the_names():
    by_task = {task: zoo.names(task=task) for task in TASKS}
    assert by_task["deblurring"] == []
    offered = [name for names in by_task.values() for name in names]
    study = {n for n in zoo.names() if read(folder_of(n)).get("group") == "study"}
    assert sorted([*offered, *study]) == zoo.names() == zoo.names(None)
    assert all(names == sorted(names) for names in by_task.values())
    for name in zoo.names():
        if "_still" in name or name.startswith("ifi_rnn"):
            assert name in study
    assert {"vdncnn_feat", "vresnet_frame", "vresnet_rlsp"} <= study
    assert {"tiny", "vresnet_feat_srnc"} <= set(zoo.names("denoising"))


@pytest.mark.parametrize("task", ["denoising", "super-resolution"])
def test_every_task_has_one_default(task):
    said = [n for n, entry in all_entries() if entry.get("default_for") == task]
    assert said == [zoo.default(task)]
    assert zoo.default(task) in zoo.names(task)


def test_what_model_toml_says_of_tasks():
    for name, entry in all_entries():
        assert entry["task"] in TASKS, name
        assert entry.get("group") in (None, "study"), name
        assert entry.get("default_for") in (None, entry["task"]), name
        assert not {"group", "default_for"} <= set(entry), name


@pytest.mark.parametrize("name", zoo.names())
def test_parameters(name):
    entry = read(folder_of(name))
    if "parameters" not in entry:
        pytest.skip("says none")
    model = models.build(entry["architecture"], **entry.get("arguments", {}))
    counted = sum(math.prod(v.shape) for v in model.trainable_variables)
    assert entry["parameters"] == counted


@pytest.mark.parametrize("call", [zoo.names, zoo.default])
@pytest.mark.parametrize("task", ["denoise", "", 7, ["denoising"]])
def test_an_unknown_task(call, task):
    with pytest.raises(ValueError, match="Unknown task") as caught:
        call(task)
    said = str(caught.value)
    assert f"Received: {task!r}" in said
    assert "Choose from: deblurring, denoising, super-resolution" in said


def test_a_task_without_a_default():
    with pytest.raises(ValueError, match="no default") as caught:
        zoo.default("deblurring")
    said = str(caught.value)
    assert "Received: task='deblurring'" in said
    assert "Choose from: denoising, super-resolution" in said


def test_made_up_entries(shelf):
    shelf("b", 'task = "denoising"')
    shelf("a", 'task = "denoising"\ndefault_for = "denoising"')
    shelf("c", 'task = "denoising"\ngroup = "study"')
    shelf("d", "")
    assert zoo.names() == ["a", "b", "c", "d"]
    assert zoo.names("denoising") == ["a", "b"]
    assert zoo.default("denoising") == "a"
    assert [line.split()[0] for line in table().splitlines()[:5]] == [
        *("NAME", "d", "a", "b", "c")
    ]
    shelf("e", 'task = "denoising"\ndefault_for = "denoising"')
    with pytest.raises(ValueError, match=r"default_for = 'denoising' .* a and e"):
        zoo.default("denoising")


def test_the_table():
    lines = table().split("\n\n")[0].splitlines()
    starts = [lines[0].index(word) for word in HEAD]
    rows = {}
    for line in lines[1:]:
        # The third column ends where the right-aligned fourth begins.
        name, task, rest = (
            line[a:b].strip()
            for a, b in zip(starts, [*starts[1:3], None], strict=False)
        )
        rows[name] = (task, rest.split())
    assert sorted(rows) == zoo.names()
    for name, entry in all_entries():
        task, rest = rows[name]
        wanted = "study" if entry.get("group") == "study" else entry["task"]
        if "default_for" in entry:
            wanted += " (default)"
        assert task == wanted
        gain = entry["results"].get("loop_gain_bound", math.inf)
        assert rest[-1] == ("yes" if gain < 1 else "no")
        if "parameters" in entry:
            assert rest[-2] == f"{entry['parameters']:,}"
    assert rows["tiny"][1][:3] == ["noise,", "sigma", "30"]
    assert rows["vresnet_feat_x2"][1][0] == "antialiased"
    assert max(map(len, lines)) <= 130


def test_the_list_is_quick_and_loads_neither_keras_nor_tensorflow():
    code = (
        "import sys; from stablevid_tf.cli.main import main\n"
        "assert main(['zoo', 'list']) == 0\n"
        "assert main(['zoo', 'card', 'tiny']) == 0\n"
        "from stablevid_tf import zoo\n"
        "assert zoo.default('denoising') in dir(zoo) + zoo.names('denoising')\n"
        "assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules)\n"
        "assert {'load', 'pack', 'publish', 'pull'} <= set(dir(zoo))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:5] == HEAD


def test_the_version_is_that_of_pyproject_and_needs_no_keras():
    code = (
        "import sys; import stablevid_tf; print(stablevid_tf.__version__)\n"
        "assert not {'keras', 'tensorflow', 'jax'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    version = tomllib.loads(pyproject.read_text())["project"]["version"]
    assert done.stdout.split() == [version]


def test_functions_are_functions_whatever_was_imported_before():
    code = (
        "import stablevid_tf.zoo.loading, stablevid_tf.zoo.publishing\n"
        "import stablevid_tf.zoo.packing, stablevid_tf.zoo.pulling\n"
        "from stablevid_tf import zoo\n"
        "assert all(callable(getattr(zoo, name)) for name in zoo.__all__)\n"
        "from stablevid_tf.zoo import load\n"
        "assert load is zoo.load"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        zoo.lode  # noqa: B018


def test_every_model_toml_is_read_as_toml_reads_it():
    for name in zoo.names():
        path = folder_of(name) / "model.toml"
        assert read(path.parent) == tomllib.loads(path.read_text())
