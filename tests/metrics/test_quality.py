"""PSNR and SSIM, as functions and as Keras metrics; the loss.

Tested: against scikit-image frame by frame; luma and crops against NumPy; the classes'
frames, means, weights, clipping, and inside `fit` (long clips, unknown sizes); errors.
Not tested: LPIPS (test_lpips.py); measures over time (test_temporal.py).
"""

import keras
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stablevid_tf import metrics, models
from stablevid_tf.losses import Charbonnier


@pytest.fixture
def pair(random):
    """Two clips [2, 3, 20, 17, 3] in [0, 1]; frames of very different quality."""
    clean = random.random((2, 3, 20, 17, 3))
    level = np.array([0.01, 0.1, 0.5])[:, None, None, None]
    return clean, np.clip(clean + level * random.normal(size=clean.shape), 0, 1)


def luma(x):
    """BT.601 in studio range for RGB in [0, 1], divided by 255."""
    r, g, b = np.moveaxis(x, -1, 0)
    return ((65.481 * r + 128.553 * g + 24.966 * b + 16) / 255)[..., None]


def per_frame(function, a, b):
    lead = a.shape[:-3]
    flat = [x.reshape(-1, *x.shape[-3:]) for x in (a, b)]
    return np.reshape([function(x, y) for x, y in zip(*flat, strict=True)], lead)


def sk_psnr(a, b):
    return peak_signal_noise_ratio(a, b, data_range=1)


def sk_ssim(a, b):
    return structural_similarity(
        a,
        b,
        data_range=1,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


CASES = [
    (metrics.psnr, sk_psnr, 1e-4),  # float32 logarithms of means, in dB
    (metrics.ssim, sk_ssim, 1e-5),
]


@pytest.mark.parametrize("ours, theirs, tolerance", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_are_scikit_images(pair, ours, theirs, tolerance, dtype):
    found = ours(*(x.astype(dtype) for x in pair))
    truth = per_frame(theirs, *pair)
    assert found.shape == (2, 3)
    tolerance = 1e-5 if dtype == "float64" else tolerance
    np.testing.assert_allclose(found, truth, atol=tolerance)


@pytest.mark.parametrize("brightness", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("noise", [0.001, 0.03])
def test_float32_frames_agree_to_1e_5(random, brightness, noise):
    # The same float32 frames on both sides: what is left is our arithmetic.
    a = (brightness + noise * random.normal(size=(48, 40, 3))).astype("float32")
    b = (a + noise * random.normal(size=a.shape)).astype("float32")
    for ours, theirs, _ in CASES:
        for y in (False, True):
            pair = [x.astype("float64") for x in (a, b)]
            truth = theirs(*(map(luma, pair) if y else pair))
            assert float(ours(a, b, y=y)) == pytest.approx(truth, abs=1e-5)


@pytest.mark.parametrize("ours, theirs, tolerance", CASES)
def test_luma_and_crop(pair, ours, theirs, tolerance):
    a, b = pair
    cut = lambda x: x[..., 3:-3, 3:-3, :]  # noqa: E731
    for y, crop, x in (
        (True, 0, (luma(a), luma(b))),
        (False, 3, (cut(a), cut(b))),
        (True, 3, (cut(luma(a)), cut(luma(b)))),
    ):
        found = ours(a.astype("float32"), b.astype("float32"), y=y, crop=crop)
        np.testing.assert_allclose(found, per_frame(theirs, *x), atol=tolerance)


def test_single_images_and_grey(pair):
    a, b = (x[0, 0, ..., :1] for x in pair)
    assert metrics.psnr(a, b).shape == ()
    assert float(metrics.psnr(a, b)) == pytest.approx(sk_psnr(a, b), abs=1e-5)
    assert float(metrics.ssim(a, b)) == pytest.approx(sk_ssim(a, b), abs=1e-5)


def test_extremes(pair):
    a, _ = pair
    assert np.isinf(metrics.psnr(a, a)).all()
    np.testing.assert_allclose(metrics.ssim(a, a), 1, atol=1e-12)
    # Black against white: 0 dB, by definition.
    zero, one = np.zeros((12, 12, 3)), np.ones((12, 12, 3))
    assert float(metrics.psnr(zero, one)) == pytest.approx(0, abs=1e-6)
    # Values outside [0, 1] are not clipped by the functions.
    assert float(metrics.psnr(zero, 10 * one)) == pytest.approx(-20, abs=1e-5)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m, a: m.psnr(a, a[:, :1]), "same shape"),
        (lambda m, a: m.psnr(a[0, 0, 0], a[0, 0, 0]), "height, width"),
        (lambda m, a: m.psnr((a * 255).astype("uint8"), a), "divide integers by 255"),
        (lambda m, a: m.psnr(a[..., :1], a[..., :1], y=True), "Luma needs RGB"),
        (lambda m, a: m.ssim(a[:, :, :10], a[:, :, :10]), "at least 11 pixels"),
        (lambda m, a: m.ssim(a, a, crop=5), "at least 11 pixels"),
        (lambda m, a: m.psnr(a, a, crop=10), "crop"),
        (lambda m, a: m.psnr(a, a, crop=-2), "crop"),
        (lambda m, a: m.PSNR(frames="middle"), "frames must be one of"),
    ],
)
def test_errors(pair, call, words):
    with pytest.raises(ValueError, match=words):
        call(metrics, pair[0])


@pytest.mark.parametrize("frames", ["first", "last", "mean"])
@pytest.mark.parametrize(
    "cls, function", [(metrics.PSNR, sk_psnr), (metrics.SSIM, sk_ssim)]
)
def test_classes(pair, cls, function, frames):
    a, b = pair
    metric = cls(frames=frames)
    assert metric.name == f"{cls.__name__.lower()}_{frames}"
    chosen = {"first": slice(0, 1), "last": slice(2, 3), "mean": slice(None)}[frames]
    # Two updates of one clip each: the mean over both.
    for i in (0, 1):
        metric.update_state(a[i : i + 1], b[i : i + 1])
    truth = per_frame(function, a, b)[:, chosen].mean()
    assert float(metric.result()) == pytest.approx(truth, abs=1e-4)  # float32
    metric.reset_state()
    metric.update_state(a[:1], b[:1])
    truth = per_frame(function, a, b)[:1, chosen].mean()
    assert float(metric.result()) == pytest.approx(truth, abs=1e-4)


def test_class_arguments(pair):
    a, b = pair
    metric = metrics.PSNR("last", y=True, crop=2)
    assert metric.name == "psnr_last_y"
    cut = lambda x: luma(x)[:, 2:, 2:-2, 2:-2]  # noqa: E731
    truth = per_frame(sk_psnr, cut(a), cut(b)).mean()
    metric.update_state(a, b)
    assert float(metric.result()) == pytest.approx(truth, abs=1e-4)
    twin = metrics.PSNR.from_config(metric.get_config())
    assert twin.get_config() == metric.get_config()
    twin.update_state(a, b)
    assert float(twin.result()) == float(metric.result())


def test_predictions_are_clipped_unless_told_not_to():
    truth, wild = np.ones((1, 2, 12, 12, 3)), np.full((1, 2, 12, 12, 3), 2.0)
    wild[:, 0] = 0.9
    clipped, free = metrics.PSNR("last"), metrics.PSNR("last", clip=False)
    for metric in (clipped, free):
        metric.update_state(truth, wild)
    assert np.isinf(float(clipped.result()))
    assert float(free.result()) == pytest.approx(0, abs=1e-5)


def test_sample_weights_weigh_clips(pair):
    a, b = pair
    metric = metrics.PSNR("mean")
    metric.update_state(a, b, sample_weight=np.array([3.0, 1.0]))
    truth = np.average(per_frame(sk_psnr, a, b).mean(1), weights=[3, 1])
    assert float(metric.result()) == pytest.approx(truth, abs=1e-4)


class Varying(keras.utils.PyDataset):
    """Batches whose length and size differ: nothing static is known."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        shape = (1 + index, 2 + index, 12 + index, 13, 3)
        clean = np.random.default_rng(index).random(shape, dtype="float32")
        return 0.9 * clean, clean


@pytest.mark.parametrize("length", [2, 18, None])
def test_inside_fit(random, length):
    model = models.build("vresnet_feat", features=2, blocks=1)
    for variable in model.variables:
        variable.assign(keras.ops.zeros_like(variable))
    chosen = [metrics.PSNR(), metrics.PSNR("last", y=True), metrics.SSIM()]
    model.compile("sgd", Charbonnier(), metrics=chosen, jit_compile=False)
    if length is None:
        data, batches = (Varying(),), [Varying()[i] for i in range(2)]
    else:
        clean = random.random((2, length, 12, 12, 3), dtype="float32")
        data, batches = (0.9 * clean, clean), [(0.9 * clean, clean)]
    found = model.evaluate(*data, verbose=0, return_dict=True)
    # Zero weights: the model is the identity. Clips count alike, long or short.
    for name, function in (("psnr_mean", sk_psnr), ("ssim_mean", sk_ssim)):
        clips = [per_frame(function, y, x).mean(1) for x, y in batches]
        # float32 means and logarithms
        assert found[name] == pytest.approx(np.concatenate(clips).mean(), abs=1e-4)
    history = model.fit(*data, verbose=0).history
    assert np.isfinite([v[0] for v in history.values()]).all()


def test_charbonnier(pair):
    a, b = pair
    for epsilon in (1e-3, 0.1):
        truth = np.sqrt((a - b) ** 2 + epsilon**2).mean()
        loss = Charbonnier(epsilon=epsilon)
        # A float32 mean of two thousand values.
        assert float(loss(a, b)) == pytest.approx(truth, rel=1e-5)
        assert Charbonnier.from_config(loss.get_config()).epsilon == epsilon
