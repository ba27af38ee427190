"""Tested: every entry loads, gives its pinned frames, carries card, recipe and
attribution, satisfies its constraint by an independent SVD, and trains on; the wheel
holds the entries and the weights of some, and gets others from the Hub; damaged or
unknown entries are refused in words.

Not tested: the entries' PSNR (benchmarks/denoise_psnr.py measures it).
"""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from witness import symbol_norm

from stablevid_tf import models, zoo
from stablevid_tf.losses import Charbonnier
from stablevid_tf.models.restorer import convs
from stablevid_tf.zoo.entries import FILES, all_entries, folder_of, read

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path):
    """A copy of the tiny entry, to be damaged."""
    return Path(shutil.copytree(folder_of("tiny"), tmp_path / "entry"))


@pytest.mark.parametrize("name", zoo.names())
def test_gives_its_pinned_frames(name):
    model = zoo.load(name)
    pinned = np.load(folder_of(name) / "pinned.npz")
    # float32 sums in another order on another machine: 1e-5 of a range of 1.
    np.testing.assert_allclose(
        np.asarray(model(pinned["input"])), pinned["output"], atol=1e-5
    )


@pytest.mark.parametrize("name", zoo.names())
def test_card_recipe_and_attribution(name):
    card = zoo.card(name)
    for word in ("Blender Foundation", "CC-BY", "DAVIS", "Intel", "PSNR", "steps"):
        assert word in card, word
    assert (folder_of(name) / "train.py").is_file()
    compile((folder_of(name) / "train.py").read_text(), name, "exec")


@pytest.mark.parametrize("name", ["tiny", "vresnet_feat_srnc"])
def test_every_norm_is_at_most_alpha(name):
    alpha = read(folder_of(name))["constraint"]["alpha"]
    for conv in convs(zoo.load(name).network):
        kernel = np.asarray(conv.effective_kernel())
        assert symbol_norm(kernel, 64) <= alpha


def test_every_loop_gain_is_below_one():
    model = zoo.load("vresnet_feat_loop")
    alpha = read(folder_of("vresnet_feat_loop"))["constraint"]["alpha"]
    for stage in model.network.body:
        first, second = (np.asarray(c.kernel) for c in stage.convs)
        state = first[:, :, model.network.features :]
        gain = symbol_norm(state, 64) * symbol_norm(second, 64)
        assert gain <= alpha < 1


def test_trains_on_and_stays_constrained():
    model = zoo.load("tiny")
    random = np.random.default_rng(0)
    clean = np.full((8, 4, 32, 32, 3), 0.5, "float32")
    noisy = clean + random.normal(0, 30 / 255, clean.shape).astype("float32")
    model.compile(keras.optimizers.Adam(1e-4), Charbonnier())
    before = model.evaluate(noisy, clean, verbose=0)
    model.fit(noisy, clean, epochs=3, batch_size=4, verbose=0)
    assert model.evaluate(noisy, clean, verbose=0) < before
    for conv in convs(model.network):
        assert not float(conv.folded)
        # One warm iteration a step and 64x64 maps: within 1 % of alpha.
        norm = symbol_norm(np.asarray(conv.effective_kernel()), 64)
        assert norm == pytest.approx(2.0, rel=0.01)


def test_in_another_precision():
    pinned = np.load(folder_of("tiny") / "pinned.npz")
    model = zoo.load("tiny", dtype="mixed_bfloat16")
    # bfloat16 keeps 8 bits of a number.
    np.testing.assert_allclose(
        np.asarray(model(pinned["input"])), pinned["output"], atol=0.05
    )


def test_unknown_name_gives_the_nearest():
    with pytest.raises(ValueError, match=r"'vresnet_feat_srnc'"):
        zoo.load("vresnet_feat_srcn")


def test_wrong_checksum(copy):
    weights = copy / "model.weights.h5"
    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(ValueError, match="sha256"):
        zoo.load(copy)


def test_missing_weights(copy):
    (copy / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"train\.py"):
        zoo.load(copy)


def test_damaged_description(copy):
    (copy / "model.toml").write_text("architecture = ")
    with pytest.raises(ValueError, match="not TOML"):
        zoo.load(copy)
    (copy / "model.toml").write_text("x = 1")
    with pytest.raises(ValueError, match="architecture"):
        zoo.load(copy)


def test_folder_that_is_no_entry(tmp_path):
    with pytest.raises(ValueError, match=r"model\.toml"):
        zoo.load(tmp_path)


def test_weights_of_another_architecture_leave_the_entry(copy, tmp_path):
    before = {p.name: p.read_bytes() for p in copy.iterdir() if p.is_file()}
    other = tmp_path / "other.weights.h5"
    models.build("vdncnn_single", features=16).save_weights(other)
    with pytest.raises(ValueError, match="does not hold the weights"):
        zoo.pack(copy, other)
    assert {p.name: p.read_bytes() for p in copy.iterdir() if p.is_file()} == before


def test_pack_makes_a_loadable_entry(copy, tmp_path):
    weights = tmp_path / "new.weights.h5"
    fresh = models.build("vresnet_feat", features=16)
    fresh.save_weights(weights)
    packed = zoo.pack(copy, weights)
    frames = np.random.default_rng(0).random((1, 2, 16, 16, 3)).astype("float32")
    restored = np.asarray(packed(frames))
    np.testing.assert_array_equal(restored, np.asarray(zoo.load(copy)(frames)))
    np.testing.assert_allclose(restored, np.asarray(fresh(frames)), atol=1e-6)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("not a checkout")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_wheel_holds_the_entries_and_the_weights_of_some(wheel):
    inside = zipfile.ZipFile(wheel).namelist()
    also = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    also = also["build"]["targets"]["wheel"]["hooks"]["custom"]["weights-of"]
    assert {"tiny", "vresnet_feat_srnc"} <= set(also) <= set(zoo.names())
    wanted = set()
    for name, entry in all_entries():
        files = set(FILES)
        if "default_for" in entry or name in also:
            files.add(entry["weights"]["file"])
        wanted |= {f"stablevid_tf/zoo/entries/{name}/{file}" for file in files}
    assert {path for path in inside if "/zoo/entries/" in path} == wanted
    assert any(path.endswith("licenses/NOTICE") for path in inside)
    # Type checkers read the package's hints only where this file lies.
    assert "stablevid_tf/py.typed" in inside


def test_an_installed_wheel_gets_other_weights_from_the_hub(
    wheel, tmp_path, hub_server
):
    """In a process of its own, with nothing but the wheel on the path."""
    name = "vresnet_rlsp_still_hard"
    files = {p.name: p.read_bytes() for p in folder_of(name).iterdir()}
    hub_server.commit(f"some-org/{name}", files)
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import sys; import numpy as np; from stablevid_tf import hub, zoo\n"
        "from stablevid_tf.zoo.entries import folder_of\n"
        "assert '/site/stablevid_tf/' in hub.__file__, hub.__file__\n"
        "zoo.load('tiny'); zoo.load(zoo.default('denoising'))\n"
        f"pinned = np.load(folder_of({name!r}) / 'pinned.npz')\n"
        f"output = np.asarray(zoo.load({name!r})(pinned['input']))\n"
        "assert np.abs(output - pinned['output']).max() < 1e-5\n"
        "print('right')\n"
        "try: zoo.load('vresnet_feat_still')\n"
        "except FileNotFoundError as error: print(error)\n"
    )
    environment = os.environ | {
        "HF_ENDPOINT": hub_server.url,
        "HF_HOME": str(tmp_path / "home"),
        "STABLEVID_HUB_ORGANISATION": "some-org",
        "PYTHONPATH": str(tmp_path / "site"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    right, why = done.stdout.splitlines()
    assert right == "right"
    assert "hf://some-org/vresnet_feat_still: " in why
