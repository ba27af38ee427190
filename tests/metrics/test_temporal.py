"""tOF, the warping error, the temporal profile.

Tested: tOF against OpenCV's flow and TecoGAN's crop written out; the warping error
against SciPy's interpolation and the mask written out; known motions and flicker; cuts;
both as Keras metrics, compiled; the profile's pixels and its PNG; errors, also without
OpenCV.
Not tested: Farneback's flow itself.
"""

import sys

import cv2
import keras
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from stablevid_tf import metrics


def scene(height, width, seed=0):
    noise = np.random.default_rng(seed).random((height, width, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    return (smooth - smooth.min()) / np.ptp(smooth)


@pytest.fixture(scope="module")
def sliding():
    """[4, 80, 70, 3], one pixel to the right a frame."""
    wide = scene(80, 76)
    return np.stack([wide[:, 4 - t : 74 - t] for t in range(4)])


def flow(a, b):
    grey = [
        cv2.cvtColor(np.rint(255 * x).astype("uint8"), cv2.COLOR_RGB2GRAY)
        for x in (a, b)
    ]
    return cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def tecogan_crop(side):
    """Its loop: the largest multiple of 32 that leaves 16 pixels, centred."""
    kept = side // 32 * 32
    while kept > side - 16:
        kept -= 32
    start = (side - kept) // 2
    return slice(start, start + kept)


@pytest.mark.parametrize("height, width", [(80, 70), (48, 49), (79, 63)])
def test_tof_is_tecogans(sliding, random, height, width):
    a = sliding[:, :height, :width]
    b = np.clip(
        a + 0.1 * gaussian_filter(random.normal(size=a.shape), (0, 2, 2, 0)), 0, 1
    )
    wanted = []
    for t in range(3):
        difference = flow(a[t], a[t + 1]) - flow(b[t], b[t + 1])
        seen = difference[tecogan_crop(height), tecogan_crop(width)].astype("float64")
        wanted.append(np.sqrt((seen**2).sum(-1)).mean())
    np.testing.assert_allclose(metrics.tof(a, b), wanted, rtol=1e-6)
    stacked = metrics.tof(np.stack([a, b]), np.stack([b, b]), crop=0)
    assert stacked.shape == (2, 3)
    assert (stacked[1] == 0).all()


def test_tof_of_known_motions(sliding):
    still = np.repeat(sliding[:1], 4, axis=0)
    # One pixel a frame against none; Farneback is good to a few per cent inside.
    np.testing.assert_allclose(metrics.tof(sliding, still), 1, atol=0.05)
    np.testing.assert_allclose(metrics.tof(sliding, sliding[::-1]), 2, atol=0.1)


def slopes(flow):
    return sum((np.gradient(flow[..., i], axis=j) ** 2) for i in (0, 1) for j in (0, 1))


def warping_witness(x0, x1, y0, y1):
    w, back = flow(x0, x1).astype("float64"), flow(x1, x0).astype("float64")
    rows, columns = np.mgrid[: x0.shape[0], : x0.shape[1]]
    at = (rows + w[..., 1], columns + w[..., 0])

    def moved(image):
        planes = np.moveaxis(image, -1, 0)
        sampled = [map_coordinates(p, at, order=1, mode="nearest") for p in planes]
        return np.stack(sampled, -1)

    back = moved(back)
    seen = (at[0] >= 0) & (at[0] <= x0.shape[0] - 1)
    seen &= (at[1] >= 0) & (at[1] <= x0.shape[1] - 1)
    norms = (w**2).sum(-1) + (back**2).sum(-1)
    seen &= ((w + back) ** 2).sum(-1) <= 0.01 * norms + 0.5
    seen &= slopes(w) <= 0.01 * (w**2).sum(-1) + 0.002
    return ((y0 - moved(y1)) ** 2)[seen].mean(), seen.mean()


def test_the_warping_error_against_scipy(random):
    # A square that moves before another scene: occlusion and edges of motion.
    back, front = scene(64, 64, 1), scene(24, 24, 2)
    clip = np.stack([back, back])
    for t in (0, 1):
        clip[t, 20:44, 18 + 3 * t : 42 + 3 * t] = front
    restored = np.clip(clip + 0.05 * random.normal(size=clip.shape), 0, 1)
    wanted, share = warping_witness(*clip, *restored)
    assert 0.3 < share < 0.97
    found = metrics.warping_error(clip, restored)
    # OpenCV interpolates with 32 steps a pixel: a few values differ a little.
    np.testing.assert_allclose(found, [wanted], rtol=0.01)


def test_the_warping_error_of_flicker(sliding):
    flicker = 0.1 * (np.arange(4) % 2)[:, None, None, None]
    own = metrics.warping_error(sliding, sliding)
    assert own.max() < 1e-4
    # The flicker's square, beside what the flow itself leaves.
    found = metrics.warping_error(sliding, sliding + flicker)
    np.testing.assert_allclose(found, 0.01, rtol=0.05)
    # A clip that does not follow the motion is worse than one that does.
    still = np.repeat(sliding[:1], 4, axis=0)
    assert metrics.warping_error(sliding, still).min() > 10 * own.max()


def test_where_nothing_is_seen_in_both_there_is_no_warping_error(monkeypatch):
    away = lambda a, b: np.full((*a.shape[:2], 2), 99, "float32")  # noqa: E731
    black = np.zeros((2, 2, 48, 48, 3))
    other = black.copy()
    other[1, 1] = 0.5
    metric = metrics.WarpingError()
    with monkeypatch.context() as patch:
        patch.setattr("stablevid_tf.metrics.flow.optical_flow", away)
        assert np.isnan(metrics.warping_error(black, other)).all()
        metric.update_state(black, other)
        assert float(metric.result()) == 0
    # A clip without a value counts for nothing beside those that have one.
    metric.update_state(black, other)
    assert float(metric.result()) == pytest.approx(0.125)


def test_as_keras_metrics(sliding):
    clips = np.stack([sliding, np.repeat(sliding[:1], 4, axis=0)]).astype("float32")
    truth = np.stack([sliding, sliding]).astype("float32")
    inputs = keras.Input((None, None, None, 3))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    chosen = [metrics.TOF(), metrics.WarpingError()]
    model.compile(loss="mse", metrics=chosen, jit_compile=False)
    found = model.evaluate(clips, truth, verbose=0, return_dict=True)
    assert found["tof"] == pytest.approx(metrics.tof(truth, clips).mean(), rel=1e-5)
    wanted = metrics.warping_error(truth, clips).mean()
    assert found["warping_error"] == pytest.approx(wanted, rel=1e-5)
    for metric in chosen:
        twin = type(metric).from_config(metric.get_config())
        assert twin.get_config() == metric.get_config()
    metric.reset_state()
    metric.update_state(truth, clips, sample_weight=[1.0, 0.0])
    wanted = metrics.warping_error(truth[0], clips[0]).mean()
    assert float(metric.result()) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_profile(random, tmp_path, channels):
    clip = random.uniform(-0.1, 1.1, (5, 8, 6, channels))
    found = metrics.temporal_profile(iter(clip), row=3, path=tmp_path / "p.png")
    np.testing.assert_array_equal(found, clip[:, 3])
    np.testing.assert_array_equal(metrics.temporal_profile(clip), clip[:, 4])
    pixels = np.array(Image.open(tmp_path / "p.png")).reshape(5, 6, channels)
    np.testing.assert_array_equal(pixels, np.rint(255 * np.clip(clip[:, 3], 0, 1)))


ODD = [np.zeros((4, 4, 3)), np.zeros((5, 4, 3))]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: metrics.tof(x, x[:2]), "same shape"),
        (lambda x: metrics.tof(x[:1], x[:1]), "two frames"),
        (lambda x: metrics.tof(x[:, :47], x[:, :47]), "48 pixels"),
        (lambda x: metrics.tof(x, x, crop=40), "crop=40"),
        (lambda x: metrics.tof((x * 255).astype("uint8"), x), "divide integers"),
        (lambda x: metrics.warping_error(x[0], x[0]), "same shape"),
        (lambda x: metrics.temporal_profile(x, row=80), "row=80"),
        (lambda x: metrics.temporal_profile([]), "none"),
        (lambda x: metrics.temporal_profile(ODD), "one size"),
    ],
)
def test_errors(sliding, call, words):
    with pytest.raises(ValueError, match=words):
        call(sliding)


def test_without_opencv(sliding, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"stablevid-tf\[metrics\]"):
        metrics.tof(sliding, sliding)
