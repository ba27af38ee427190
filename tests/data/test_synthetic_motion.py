"""A still picture made to move: places, weights, and the dataset's use of it.

Tested: cubic convolution reproduces quadratics exactly; whole-pixel motion is a plain
crop; one half-pixel frame against Keys' weights written out; the margin is enough and
needed; ClipDataset(motion=...) gives clips of single frames, still for 0.
Not tested: the rest of ClipDataset (test_clip_dataset.py).
"""

import numpy as np
import pytest
from PIL import Image

from stablevid_tf.data import ClipDataset
from stablevid_tf.data.synthetic_motion import drift, margin


def test_quadratics_are_reproduced():
    # Keys (1981): third-order convergence, so polynomials of degree 2 are exact.
    y, x = np.mgrid[:14, :14].astype("float64")
    picture = (y**2 + 3 * x - 0.5 * x * y)[..., None]
    clip = drift(picture, frames=5, size=6, velocity=(0.3, -0.7))
    rows, columns = np.mgrid[:6, :6] + 4.0
    for t, moved in enumerate(clip):
        at_y, at_x = rows + 0.3 * (t - 2), columns - 0.7 * (t - 2)
        wanted = at_y**2 + 3 * at_x - 0.5 * at_x * at_y
        # float32 sums of numbers up to 150.
        np.testing.assert_allclose(moved[..., 0], wanted, atol=1e-4)


def test_whole_pixels_are_a_crop():
    picture = np.random.default_rng(0).integers(0, 256, (16, 18, 3))
    clip = drift(picture, frames=3, size=8, velocity=(1.0, -2.0))
    for t, moved in enumerate(clip):
        y, x = 4 + (t - 1), 5 - 2 * (t - 1)
        np.testing.assert_array_equal(moved, picture[y : y + 8, x : x + 8])


def test_half_a_pixel():
    picture = np.random.default_rng(1).uniform(100, 150, (10, 10, 1))
    # Two frames half a pixel left and right of the centre.
    first, _ = drift(picture, frames=2, size=6, velocity=(0.0, 1.0))
    keys = np.array([-1, 9, 9, -1]) / 16
    rows = picture[2:8, :, 0]
    wanted = [[rows[i, j : j + 4] @ keys for j in range(6)] for i in range(6)]
    np.testing.assert_allclose(first[..., 0], wanted, rtol=1e-5)


@pytest.mark.parametrize("frames, motion", [(7, 0.25), (2, 1.0), (9, 3.3), (1, 0)])
def test_the_margin_suffices(frames, motion):
    # A constant picture stays constant only if no weight falls outside it.
    side = 5 + 2 * margin(frames, motion)
    for sign in (1, -1):
        clip = drift(np.full((side, side, 1), 9.0), frames, 5, (sign * motion, motion))
        np.testing.assert_allclose(clip, 9.0, rtol=1e-5)


def folder(path):
    (path / "video").mkdir()
    for t in range(2):
        image = np.random.default_rng(t).integers(0, 256, (20, 24, 3), dtype="uint8")
        Image.fromarray(image).save(path / "video" / f"{t}.png")
    return path


def test_clips_of_single_frames(tmp_path):
    # Two frames of video are enough: each clip is one of them, moving.
    arguments = {"frames": 5, "size": 8, "batch_size": 4, "sigma": 10, "steps": 2}
    source = folder(tmp_path)
    noisy, still = ClipDataset(source, motion=0, **arguments)[0]
    assert still.shape == (4, 5, 8, 8, 3)
    assert (still == still[:, :1]).all()
    assert not (noisy[:, 0] == noisy[:, 1]).any()
    _, moving = ClipDataset(source, motion=0.5, **arguments)[0]
    assert moving.min() >= 0
    assert moving.max() <= 1
    assert not (moving[:, 0] == moving[:, -1]).all((1, 2, 3)).any()


@pytest.mark.parametrize("motion", [-1, 65, float("nan")])
def test_impossible_speeds_are_refused(tmp_path, motion):
    with pytest.raises(ValueError, match="pixels a frame"):
        ClipDataset(folder(tmp_path), motion=motion)
