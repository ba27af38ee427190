"""ClipMixture: clips of several datasets in one batch.

Tested: batches as a function of (seed, epoch, index) alone, drawn again by hand; how
often each dataset is drawn; that each clip is its dataset's; photographs beside videos;
several workers; a model fitted; errors.
Not tested: the datasets themselves (test_clip_dataset.py).
"""

import keras
import numpy as np
import pytest
from PIL import Image

from stablevid_tf.data import CameraPath, ClipDataset, ClipMixture


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Dark videos, bright ones, and photographs between them."""
    folder = tmp_path_factory.mktemp("clips")
    random = np.random.default_rng(0)
    for kind, low, count in (("dark", 0, 5), ("bright", 200, 6)):
        for name in "ab":
            (folder / kind / name).mkdir(parents=True)
            for t in range(count):
                image = random.integers(low, low + 50, (20, 24, 3), "uint8")
                Image.fromarray(image).save(folder / kind / name / f"{t}.png")
    (folder / "photos").mkdir()
    for i in range(2):
        image = random.integers(100, 150, (30, 33, 3), "uint8")
        Image.fromarray(image).save(folder / "photos" / f"{i}.png")
    return folder


def dataset(source, kind, **arguments):
    arguments = {"frames": 2, "size": 8, "sigma": 0} | arguments
    return ClipDataset(source / kind, **arguments)


def mixture(source, weights=(3, 1), datasets=None, **arguments):
    parts = datasets or [dataset(source, "dark"), dataset(source, "bright")]
    return ClipMixture(parts, weights, **{"batch_size": 4, "steps": 3} | arguments)


def kinds(clean):
    """0 for a dark clip, 1 for one of a photograph, 2 for a bright one."""
    means = 255 * clean.mean(axis=(1, 2, 3, 4))
    return np.digitize(means, [75, 175])


def test_shapes_types_and_length(source):
    clips = mixture(source)
    assert len(clips) == 3
    for x in clips[0]:
        assert x.shape == (4, 2, 8, 8, 3) and x.dtype == "float32"


def test_each_dataset_is_drawn_as_often_as_its_weight_says(source):
    found = kinds(mixture(source, batch_size=600)[0][1])
    assert set(found) == {0, 2}
    # Five standard errors.
    share = np.mean(found == 0)
    assert share == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / 600) ** 0.5)


def test_a_batch_is_a_function_of_seed_epoch_and_index(source):
    clips = mixture(source, seed=3)
    clips.epoch = 2
    found = clips[1]
    parts = [dataset(source, "dark", seed=8), dataset(source, "bright", steps=9)]
    random = np.random.default_rng([3, 2, 1])
    chosen = random.choice(2, 4, p=[0.75, 0.25])
    pairs = [parts[number].draw(random) for number in chosen]
    for a, b in zip(found, zip(*pairs, strict=True), strict=True):
        np.testing.assert_array_equal(a, np.stack(b))
    first = mixture(source, seed=3)
    assert not np.array_equal(first[1][1], found[1])
    first.on_epoch_end()
    first.on_epoch_end()
    np.testing.assert_array_equal(first[1][1], found[1])
    assert not np.array_equal(first[0][1], found[1])
    assert not np.array_equal(mixture(source, seed=4)[1][1], first[1][1])


def test_each_clip_is_degraded_as_its_dataset_says(source):
    parts = [dataset(source, "dark"), dataset(source, "bright", sigma=40)]
    noisy, clean = mixture(source, (1, 1), parts, batch_size=40)[0]
    levels = 255 * (noisy - clean).std(axis=(1, 2, 3, 4))
    dark = kinds(clean) == 0
    assert 5 < dark.sum() < 35
    assert (levels[dark] == 0).all() and (np.abs(levels[~dark] - 40) < 12).all()


def test_photographs_that_move_and_stand_still(source):
    photos = sorted((source / "photos").iterdir())
    path = CameraPath(speed=1.0, reach=4)
    parts = [
        dataset(source, "dark"),
        ClipDataset(photos, frames=2, size=8, sigma=0, motion=path),
        ClipDataset(photos, frames=2, size=8, sigma=0, motion=0),
    ]
    _, clean = mixture(source, (1, 1, 1), parts, batch_size=60)[0]
    still = np.array([np.array_equal(a, b) for a, b in clean])
    found = kinds(clean)
    assert set(found) == {0, 1}
    assert not still[found == 0].any()
    assert 5 < still[found == 1].sum() < (found == 1).sum() - 5


def test_fit_takes_it_with_workers(source):
    seen = []

    class Watch(keras.Model):
        def call(self, x):
            return x

        def train_step(self, data):
            seen.append(data[1].numpy().tobytes())
            return {"loss": 0.0}

    clips = mixture(source, workers=2)
    count = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs=None: setattr(clips, "epoch", epoch)
    )
    model = Watch()
    model.compile("sgd", run_eagerly=True)
    model.fit(clips, epochs=2, shuffle=False, verbose=0, callbacks=[count])
    plain, wanted = mixture(source), []
    for epoch in range(2):
        plain.epoch = epoch
        wanted += [plain[i][1].tobytes() for i in range(3)]
    assert seen == wanted


@pytest.mark.parametrize(
    "weights, words",
    [
        ((1,), "one weight for each dataset.*2 datasets and 1 weights"),
        ((1, 2, 3), "one weight for each"),
        ((1, 0), "finite and above 0"),
        ((1, -1), "finite and above 0"),
        ((1, float("nan")), "finite and above 0"),
    ],
)
def test_wrong_weights(source, weights, words):
    with pytest.raises(ValueError, match=words):
        mixture(source, weights)


def test_datasets_that_do_not_go_together(source):
    dark = dataset(source, "dark")
    for other in ({"size": 4}, {"frames": 3}, {"grey": True}):
        with pytest.raises(ValueError, match="clips of one shape"):
            ClipMixture([dark, dataset(source, "bright", **other)], [1, 1])
    with pytest.raises(ValueError, match="at least one dataset"):
        ClipMixture([], [])
