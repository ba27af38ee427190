"""What a description may not ask for, found before a network is built.

Tested: made-up attacks on model.toml that would take memory or end in a traceback;
that every published architecture is allowed, and every whole number it takes bounded.
Not tested: the memory that the largest allowed network takes.
"""

import inspect
import tomllib
from pathlib import Path

import pytest

from stablevid_tf import zoo
from stablevid_tf.models.architectures import _NETWORKS
from stablevid_tf.zoo.entries import read
from stablevid_tf.zoo.limits import _COUNTS, check_description

ENTRY = """
architecture = "vresnet_feat"
task = "denoising"
[arguments]
features = 16
blocks = 5
[constraint]
alpha = 2.0
frame_size = 64
[input]
sigma = 30.0
[weights]
file = "model.weights.h5"
sha256 = "0"
"""


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch):
    def build(*_, **__):
        raise AssertionError("built")

    monkeypatch.setattr("stablevid_tf.models.build", build)


ATTACKS = [
    ("features = 16", "features = 10000", "whole number from 1 to 256"),
    ("features = 16", "features = 0", "whole number from 1 to 256"),
    ("features = 16", "features = -4", "whole number from 1 to 256"),
    ("features = 16", "features = 16.5", "whole number from 1 to 256"),
    ("features = 16", "features = true", "whole number from 1 to 256"),
    ("features = 16", "features = '16'", "whole number from 1 to 256"),
    ("features = 16", "features = 99999999999999999999", "at most 10000"),
    ("features = 16", "features = [16]", "numbers, strings and booleans"),
    ("features = 16\nblocks = 5", "features = 256\nblocks = 64", "too large"),
    ("features = 16\nblocks = 5", "features = 256", "too large"),
    ("blocks = 5", "blocks = 10000", "whole number from 1 to 64"),
    ("blocks = 5", "blocks = 0", "whole number from 1 to 64"),
    ("blocks = 5", "scale = 100", "whole number from 1 to 8"),
    ("blocks = 5", "channels = 3000", "whole number from 1 to 4"),
    ("blocks = 5", "window = 9999", "whole number from 1 to 31"),
    ("frame_size = 64", "frame_size = 10000", "whole number from 1 to 256"),
    ("frame_size = 64", "power_iterations = 9999", "whole number from 1 to 100"),
    (
        "features = 16\nblocks = 5\n[constraint]\nalpha = 2.0\nframe_size = 64",
        "features = 100\nblocks = 30\n[constraint]\nalpha = 2.0\nframe_size = 256",
        "too much memory",
    ),
    ('"vresnet_feat"', '"memory_unet"', None),
    ("sigma = 30.0", "sigma = 'x'", "number from 0 to 255"),
    ("sigma = 30.0", "sigma = 1000", "number from 0 to 255"),
    ("sigma = 30.0", "sigma = nan", "number from 0 to 255"),
    ("sigma = 30.0", "sigma = true", "number from 0 to 255"),
    ("5\n[constraint]", "5\nnoise_map = true\n[constraint]", None),
    ("[input]\nsigma = 30.0", "[[input]]", "must be a table"),
    ("[input]\nsigma = 30.0", "[[results]]", "must be a table"),
    ("[constraint]", "[[constraint]]", "must be a table"),
    ('task = "denoising"', "task = 7", "task in .* must be a string"),
    ('task = "denoising"', "group = ['study']", "group in .* must be a string"),
    ('task = "denoising"', "default_for = {}", "default_for in .* must be a string"),
    ('"model.weights.h5"', '"model.keras"', r"must be a \.weights\.h5 file"),
    ('"model.weights.h5"', '"model.weights.json"', r"must be a \.weights\.h5 file"),
    ('"model.weights.h5"', '"w.weights.h5.pkl"', r"must be a \.weights\.h5 file"),
    ("[input]", "x = " + 5000 * "[" + "\n[input]", "not TOML"),
    ("[weights]", "[weigths]", "lacks 'weights'"),
]


@pytest.mark.parametrize("old, new, says", [a for a in ATTACKS if a[2]])
def test_refused(tmp_path, old, new, says):
    assert old in ENTRY
    (tmp_path / "model.toml").write_text(ENTRY.replace(old, new))
    with pytest.raises(ValueError, match=says):
        zoo.load(tmp_path)


@pytest.mark.parametrize("old, new, says", [a for a in ATTACKS if not a[2]])
def test_allowed(tmp_path, old, new, says):
    (tmp_path / "model.toml").write_text(ENTRY.replace(old, new))
    assert read(tmp_path)["weights"]["file"] == "model.weights.h5"


def test_a_noise_map_needs_a_level(tmp_path):
    text = ENTRY.replace("blocks = 5", "noise_map = true").replace("sigma", "s")
    (tmp_path / "model.toml").write_text(text)
    with pytest.raises(ValueError, match=r"sigma .* which the noise map needs"):
        read(tmp_path)


def test_not_text(tmp_path):
    (tmp_path / "model.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not TOML"):
        read(tmp_path)


@pytest.mark.parametrize("name", _NETWORKS)
def test_published_sizes_are_allowed(name):
    """With every whole number of the signature, under a constraint of default size."""
    network, settled = _NETWORKS[name]
    signature = inspect.signature(network).parameters
    given = {k: p.default for k, p in signature.items() if k not in settled}
    given = {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}
    plain = int | float | str | list
    given = {k: v for k, v in given.items() if isinstance(v, plain)}
    for key, value in given.items():
        whole = isinstance(value, int | list) and not isinstance(value, bool)
        assert not whole or key in _COUNTS, f"{key} has no bound in limits.py"
    entry = tomllib.loads(ENTRY) | {"architecture": name, "arguments": given}
    check_description(entry, Path("model.toml"))


def test_lists_of_numbers(tmp_path):
    def read_with(features):
        text = ENTRY.replace('"vresnet_feat"', '"memory_unet"')
        text = text.replace("features = 16", f"features = {features}")
        (tmp_path / "model.toml").write_text(text.replace("blocks = 5", "blocks = [1]"))
        return read(tmp_path)["arguments"]

    assert read_with("[64, 96, 128]")["features"] == [64, 96, 128]
    for features, says in (
        ("[64, 1000]", "1 to 256"),
        ("[64, 'x']", "1 to 256"),
        ("[[64]]", "numbers, strings"),
        ("[]", "numbers, strings"),
        (str(9 * [64]), "numbers, strings"),
        ("[256, 256]", "too large"),
    ):
        with pytest.raises(ValueError, match=says):
            read_with(features)
