"""Where weights come from, and what may be in their file.

Tested: an entry of a wheel without weights, over the Hub's protocol on loopback (good,
damaged, missing, offline, without the library, another organisation); that a checkout
never asks; made-up attacks by HDF5 (external and virtual data, links, sizes that are
only declared, compression, NaN) and files that are none.
Not tested: the wheel itself (test_entries.py); faults of the network
(tests/test_hub.py).
"""

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from stablevid_tf import models, zoo
from stablevid_tf.hub import sha256_of
from stablevid_tf.zoo.entries import folder_of
from stablevid_tf.zoo.weights import ORGANISATION, check_file, organisation

ENTRY = """
architecture = "vresnet_feat"
task = "denoising"
[arguments]
features = 4
blocks = 1
[weights]
file = "model.weights.h5"
sha256 = "{}"
"""


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    """A very small entry."""
    folder = tmp_path_factory.mktemp("shelf") / "small"
    folder.mkdir()
    path = folder / "model.weights.h5"
    models.build("vresnet_feat", features=4, blocks=1).save_weights(path)
    (folder / "model.toml").write_text(ENTRY.format(sha256_of(path)))
    (folder / "README.md").write_text("# small\n")
    return folder


@pytest.fixture
def wheel(entry, tmp_path, monkeypatch):
    """The entry in an installed wheel, without its weights."""
    shelf = tmp_path / "entries"
    shutil.copytree(entry, shelf / "small")
    (shelf / "small" / "model.weights.h5").unlink()
    monkeypatch.setattr("stablevid_tf.zoo.entries._WHEEL", shelf)
    monkeypatch.setattr("stablevid_tf.zoo.entries._CHECKOUT", tmp_path / "none")
    monkeypatch.delenv("STABLEVID_HUB_ORGANISATION", raising=False)
    return shelf / "small"


@pytest.fixture
def weights(entry):
    return (entry / "model.weights.h5").read_bytes()


def restored(model):
    return np.asarray(model(np.full((1, 2, 16, 16, 3), 0.5, "float32")))


@pytest.mark.parametrize("org", [None, "others"])
def test_weights_come_from_the_hub_once(
    hub_server, wheel, weights, entry, monkeypatch, org
):
    if org:
        monkeypatch.setenv("STABLEVID_HUB_ORGANISATION", org)
    repository = f"{org or ORGANISATION}/small"
    hub_server.commit(repository, {"model.weights.h5": weights})
    model = zoo.load("small")
    assert model.name == "small"
    np.testing.assert_array_equal(restored(model), restored(zoo.load(entry)))
    # Only the weights were asked for: the wheel knows the rest.
    files = [r.split()[1] for r in hub_server.requests if "/resolve/" in r]
    assert len(files) == 2
    for file in files:
        assert file.startswith(f"/{repository}/resolve/")
        assert file.endswith("/model.weights.h5")
    hub_server.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    np.testing.assert_array_equal(restored(zoo.load("small")), restored(model))
    assert hub_server.requests == []
    # Nothing is written into the installation.
    assert sorted(p.name for p in wheel.iterdir()) == ["README.md", "model.toml"]


def test_pulled_for_later_and_into_a_folder(
    hub_server, wheel, weights, tmp_path, monkeypatch
):
    hub_server.commit(f"{ORGANISATION}/small", {"model.weights.h5": weights})
    assert zoo.pull("small") == wheel
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = zoo.pull("small", tmp_path / "mine")
    assert (folder / "model.weights.h5").read_bytes() == weights
    zoo.load(folder)


def test_other_weights_are_refused_and_not_used_later(
    hub_server, wheel, weights, tmp_path, monkeypatch
):
    wrong = weights[:-1] + b"x"
    hub_server.commit(f"{ORGANISATION}/small", {"model.weights.h5": wrong})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"sha256 .* instead of .* was removed"):
            zoo.load("small")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.suffix == ".h5"]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="not in the cache"):
        zoo.load("small")


def parts(caught, folder):
    """What every message says: which file, where it was looked for, what to do."""
    said = str(caught.value)
    assert "\n" not in said
    assert "model.weights.h5 of 'small' are not part of this installation" in said
    assert str(folder) in said and f"hf://{organisation()}/small" in said
    assert "STABLEVID_HUB_ORGANISATION" in said and "checkout" in said
    return said


def test_a_missing_repository(hub_server, wheel, monkeypatch):
    monkeypatch.setenv("STABLEVID_HUB_ORGANISATION", "nobody")
    with pytest.raises(FileNotFoundError) as caught:
        zoo.load("small")
    assert "there is no such repository" in parts(caught, wheel)


def test_a_repository_without_the_file(hub_server, wheel):
    hub_server.commit(f"{ORGANISATION}/small", {"README.md": b"soon"})
    with pytest.raises(FileNotFoundError) as caught:
        zoo.load("small")
    assert "no such file" in parts(caught, wheel)


def test_offline_and_never_fetched(hub_server, wheel, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError) as caught:
        zoo.load("small")
    assert "Unset HF_HUB_OFFLINE" in parts(caught, wheel)
    assert hub_server.requests == []


def test_the_hub_fails(hub_server, wheel):
    hub_server.fault = "500"
    with pytest.raises(ConnectionError) as caught:
        zoo.load("small")
    assert "status 500" in parts(caught, wheel)


def test_without_the_library(wheel, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError) as caught:
        zoo.load("small")
    assert "pip install 'stablevid-tf[hub]'" in parts(caught, wheel)


def test_an_organisation_that_cannot_be(hub_server, wheel, monkeypatch):
    monkeypatch.setenv("STABLEVID_HUB_ORGANISATION", "../..")
    with pytest.raises(ValueError) as caught:
        zoo.load("small")
    assert "named 'user/repository'" in parts(caught, wheel)
    assert hub_server.requests == []
    monkeypatch.setenv("STABLEVID_HUB_ORGANISATION", "")
    assert organisation() == ORGANISATION


def test_a_checkout_never_asks_the_hub(hub_server, entry, tmp_path, monkeypatch):
    monkeypatch.setattr("stablevid_tf.zoo.entries._CHECKOUT", tmp_path / "zoo")
    copy = Path(shutil.copytree(entry, tmp_path / "zoo" / "small"))
    zoo.load("small")
    (copy / "model.weights.h5").unlink()
    for name in ("small", copy):
        with pytest.raises(FileNotFoundError, match=r"are missing\. Get .*train\.py"):
            zoo.load(name)
    assert hub_server.requests == []


def shape_of(copy):
    """The first dataset of an entry's weights: its name and shape."""
    with h5py.File(copy / "model.weights.h5") as file:
        found = []
        file.visititems(
            lambda name, item: (
                found.append((name, item.shape))
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found[0]


def replace(file, name, **how):
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape=shape, dtype="float32", **how)


def external(file, name, folder):
    (folder / "secret.txt").write_bytes(b"secret" * 10_000)
    replace(file, name, external=[(str(folder / "secret.txt"), 0, h5py.h5f.UNLIMITED)])


def virtual(file, name, folder):
    shape = file[name].shape
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.ones(shape, "float32")
    layout = h5py.VirtualLayout(shape=shape, dtype="float32")
    layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape=shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def external_link(file, name, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.ones(file[name].shape, "float32")
    del file[name]
    file[name] = h5py.ExternalLink(str(folder / "other.h5"), "x")


def soft_link(file, name, folder):
    file["moved"] = file[name]
    del file[name]
    file[name] = h5py.SoftLink("/moved")


def ring(file, name, folder):
    file["cell/ring"] = file["cell"]


def twice(file, name, folder):
    file["again"] = file[name]


def declared(file, name, folder):
    # 3.9 GiB that the file does not hold.
    file.create_dataset("huge", shape=(2**30,), dtype="float32")


def overflowing(file, name, folder):
    file.create_dataset("huge", shape=(2**31, 2**30), dtype="float32")


def compressed(file, name, folder):
    replace(file, name, compression="gzip", chunks=True)


def chunked(file, name, folder):
    replace(file, name, chunks=True)


def text(file, name, folder):
    file.create_dataset("text", data=["a", "b"], dtype=h5py.string_dtype())


def many(file, name, folder):
    for n in range(300):
        file.create_group(f"g{n}")


def empty(file, name, folder):
    file["none"] = h5py.Empty("float32")


def with_type(file, name, folder):
    file["type"] = np.dtype("float32")


def padded(file, name, folder):
    file["more"] = np.zeros(1000, "float32")


def nan(file, name, folder):
    file[name][0, 0, 0, 0] = np.nan


def infinite(file, name, folder):
    file[name][0, 0, 0, 0] = -np.inf


ATTACKS = [
    (external, "external data"),
    (virtual, "virtual dataset"),
    (external_link, "link to elsewhere"),
    (soft_link, "link to elsewhere"),
    (ring, "second name"),
    (twice, "second name"),
    (declared, r"arrays of 4,29\d,\d+,\d+ bytes"),
    (overflowing, "bytes"),
    (compressed, "chunked or compressed"),
    (chunked, "chunked or compressed"),
    (text, "values of type object|chunked"),
    (many, "more than"),
    (empty, "not a readable"),
    (with_type, "named data type"),
    (padded, "must hold the .* numbers"),
    (nan, "finite numbers"),
    (infinite, "finite numbers"),
]


@pytest.fixture
def copy(entry, tmp_path):
    return Path(shutil.copytree(entry, tmp_path / "copy"))


def stamped(folder):
    """Its description vouches for whatever the weights are, as a stranger's would."""
    sha256 = sha256_of(folder / "model.weights.h5")
    (folder / "model.toml").write_text(ENTRY.format(sha256))
    return folder


@pytest.mark.parametrize(
    "attack, says", ATTACKS, ids=lambda a: getattr(a, "__name__", "")
)
def test_weights_that_hold_more_than_weights(copy, tmp_path, attack, says):
    name, _ = shape_of(copy)
    with h5py.File(copy / "model.weights.h5", "a") as file:
        attack(file, name, tmp_path)
    with pytest.raises(ValueError, match=says) as caught:
        zoo.load(stamped(copy))
    assert "\n" not in str(caught.value)


def test_weights_of_another_network(copy):
    path = copy / "model.weights.h5"
    models.build("vresnet_feat", features=8, blocks=1).save_weights(path)
    with pytest.raises(ValueError, match=r"must hold the .* numbers"):
        zoo.load(stamped(copy))
    models.build("vresnet_feat", features=3, blocks=1).save_weights(path)
    with pytest.raises(ValueError, match="does not hold the weights of vresnet_feat"):
        zoo.load(stamped(copy))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(3000)]
)
def test_weights_that_are_no_weights(copy, content):
    (copy / "model.weights.h5").write_bytes(content)
    with pytest.raises(ValueError, match="not a readable HDF5 file of weights"):
        zoo.load(stamped(copy))


def test_more_bytes_than_the_network_needs(copy):
    with open(copy / "model.weights.h5", "ab") as file:
        file.truncate(2**22)
    with pytest.raises(ValueError, match=r"too large for this architecture"):
        zoo.load(stamped(copy))


def test_mutated_weights_end_in_one_kind_of_error(copy, random):
    whole = (copy / "model.weights.h5").read_bytes()
    for _ in range(30):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 20):
            data[at] = random.integers(256)
        (copy / "model.weights.h5").write_bytes(data[: random.integers(len(data))])
        with pytest.raises(ValueError):
            zoo.load(stamped(copy))


def test_what_a_training_run_saved_is_packed_but_not_if_it_diverged(copy, tmp_path):
    path = tmp_path / "run.weights.h5"
    model = models.build("vresnet_feat", features=4, blocks=1)
    model.compile("adam", "mse")
    clip = np.zeros((1, 2, 16, 16, 3), "float32")
    model.fit(clip, clip, verbose=0)
    model.save_weights(path)
    zoo.pack(copy, path)
    before = (copy / "model.weights.h5").read_bytes()
    kernel = model.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    model.save_weights(path)
    with pytest.raises(ValueError, match="finite numbers"):
        zoo.pack(copy, path)
    assert (copy / "model.weights.h5").read_bytes() == before


@pytest.mark.parametrize("name", ["tiny", "ifi_rnn_rirn"])
def test_entries_hold_plain_weights(name):
    check_file(folder_of(name) / "model.weights.h5")
