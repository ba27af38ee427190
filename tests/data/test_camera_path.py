"""Unsteady cameras: the equations of the path, its bounds, and what is seen.

Tested: the path against the recurrence written out in complex numbers; speed, start,
reach and folding; repetition; sequences.camera against an independent cubic spline of
Keys, for ever in constant memory; ClipDataset(motion=CameraPath(...)); errors.
Not tested: the look of it.
"""

import itertools

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from stablevid_tf.data import CameraPath, ClipDataset, sequences


def places(path, count, seed=0):
    generator = path.places(np.random.default_rng(seed))
    return np.array(list(itertools.islice(generator, count)))


def test_the_recurrence():
    path = CameraPath(speed=0.5, shake=0.2, reach=1000)
    random = np.random.default_rng(4)
    c, g, b = random.uniform(0, [0.7, 10, 0.2])
    v = 0.5 * np.exp(2j * np.pi * random.uniform())
    x, wanted, turns = 0j, [], 0
    for _ in range(300):
        wanted.append((x.imag, x.real))
        turn, u = random.uniform(size=2)
        n = complex(*random.standard_normal(2))
        s = 0j
        if turn < 0.2 * b:
            s, turns = 2 * v * np.exp(1j * (np.pi + u - 0.5)), turns + 1
        v = v + s + 0.2 * 0.5 * (g * n - c * x)
        v = 0.5 * v / abs(v)
        x = x + v
    assert turns
    np.testing.assert_allclose(places(path, 300, 4), wanted, atol=1e-9)


def test_it_keeps_its_speed_and_starts_in_the_middle():
    way = places(CameraPath(speed=0.7, shake=0.5, reach=10_000), 200)
    np.testing.assert_array_equal(way[0], 0)
    np.testing.assert_allclose(np.hypot(*np.diff(way, axis=0).T), 0.7)
    speeds = [np.hypot(*places(CameraPath((0, 2), 0, 99), 2, s)[1]) for s in range(200)]
    # Uniform between the two: its mean and deviation, to five standard errors.
    assert np.mean(speeds) == pytest.approx(1, abs=5 * 0.577 / 200**0.5)
    assert min(speeds) >= 0
    assert max(speeds) <= 2


def test_without_shake_it_is_straight_and_with_little_it_is_smooth():
    straight = places(CameraPath(1.0, 0, 1000), 50)
    np.testing.assert_allclose(np.diff(straight, 2, axis=0), 0, atol=1e-9)
    turns = {}
    for shake in (0.01, 0.1):
        steps = [np.diff(places(CameraPath(1.0, shake, 9999), 50, s), axis=0)
                 for s in range(20)]  # fmt: skip
        cosines = [(s[1:] * s[:-1]).sum(1) for s in steps]
        turns[shake] = np.median(np.arccos(np.clip(cosines, -1, 1)))
    assert 0 < turns[0.01] < 0.1 < turns[0.1]


def test_it_stays_within_reach_and_is_folded_without_a_jump():
    way = places(CameraPath(speed=1.5, shake=0.05, reach=5), 3000)
    assert np.abs(way).max() <= 5
    assert np.abs(way).max() > 4.5
    assert np.hypot(*np.diff(way, axis=0).T).max() <= 1.5 + 1e-9
    back = places(CameraPath(speed=1.0, shake=0, reach=3), 40, seed=1)
    free = places(CameraPath(speed=1.0, shake=0, reach=1000), 40, seed=1)
    # Reflected at the walls, by arcsin of a sine.
    wanted = 3 * 2 / np.pi * np.arcsin(np.sin(free * np.pi / 2 / 3))
    np.testing.assert_allclose(back, wanted, atol=1e-6)


def keys(x):
    x = np.abs(x)
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x < 2, far, 0))


def test_what_the_camera_sees():
    image = np.random.default_rng(0).uniform(0.3, 0.7, (31, 34, 2))
    path = CameraPath(speed=0.8, shake=0.1, reach=4)
    frames = list(sequences.camera(image, 25, path, size=16, seed=3))
    for frame, (down, right) in zip(frames, places(path, 25, 3), strict=True):
        y = (31 - 16) / 2 + down + np.arange(16)
        x = (34 - 16) / 2 + right + np.arange(16)
        rows = keys(y[:, None] - np.arange(31))
        columns = keys(x[:, None] - np.arange(34))
        wanted = np.einsum("yi,xj,ijc->yxc", rows, columns, image)
        # float32 weights and sums.
        np.testing.assert_allclose(frame, wanted, atol=1e-6)


def test_for_ever_and_from_the_seed():
    image = gaussian_filter(np.random.default_rng(0).random((40, 40, 1)), (2, 2, 0))
    path = CameraPath(reach=4)
    endless = sequences.camera(image, None, path, 16, seed=1)
    later = next(itertools.islice(endless, 500, None))
    assert later.shape == (16, 16, 1)
    again = list(sequences.camera(image, 501, path, 16, seed=1))
    np.testing.assert_array_equal(again[500], later)
    assert len(again) == 501
    other = next(itertools.islice(sequences.camera(image, 9, path, 16, seed=2), 8, 9))
    assert not np.array_equal(again[8], other)


def test_clips_of_a_dataset_wander(tmp_path):
    (tmp_path / "v").mkdir()
    noise = np.random.default_rng(0).random((48, 48, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    Image.fromarray((255 * smooth).astype("uint8")).save(tmp_path / "v" / "0.png")
    path = CameraPath(speed=0.9, shake=0.1, reach=3)
    arguments = {"frames": 12, "size": 16, "batch_size": 3, "sigma": 0, "steps": 1}
    _, clips = ClipDataset(tmp_path, motion=path, **arguments)[0]
    assert clips.shape == (3, 12, 16, 16, 3)
    moved = np.abs(np.diff(clips, axis=1)).mean((2, 3, 4))
    assert moved.min() > 0.002
    # Clips of twelve frames on a still picture; none is as another.
    assert len({c.tobytes() for c in clips}) == 3
    _, still = ClipDataset(tmp_path, motion=CameraPath(0, reach=3), **arguments)[0]
    assert (still == still[:, :1]).all()
    with pytest.raises(ValueError, match="gives clips"), pytest.warns(UserWarning):
        ClipDataset(tmp_path, motion=CameraPath(1, reach=20), **arguments)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"speed": -1}, "speed"),
        ({"speed": (2, 1)}, "speed"),
        ({"speed": (0, 65)}, "speed"),
        ({"shake": 1.5}, "shake"),
        ({"reach": 0}, "reach"),
        ({"reach": 2.5}, "reach"),
    ],
)
def test_errors(arguments, words):
    with pytest.raises(ValueError, match=words):
        CameraPath(**arguments)


@pytest.mark.parametrize(
    "side, frames, words", [(20, 5, "at least 30 pixels"), (40, 0, "positive integer")]
)
def test_errors_of_the_sequence(side, frames, words):
    with pytest.raises(ValueError, match=words):
        sequences.camera(np.zeros((side, side, 3)), frames, CameraPath(reach=4), 16)
