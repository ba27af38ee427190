"""LPIPS: AlexNet's features and the linear heads, with made-up weights.

Tested: against NumPy in float64 that knows nothing of Keras, at several sizes and at
the smallest; zero for equal frames; weights from a file, a mapping and the Hub (a
stand-in that is asked); what is missing is told; the Keras metric, in `evaluate` and
through its configuration.
Not tested: the published weights, which are not part of this package; the Hub.
"""

import keras
import numpy as np
import pytest

from stablevid_tf import metrics

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3)}
SHAPES[10] = (256, 256, 3)


@pytest.fixture(scope="module")
def arrays():
    """Made-up weights under the public names, in PyTorch's layout."""
    random, found = np.random.default_rng(0), {"classifier.6.bias": np.zeros(1000)}
    for i, (layer, (filters, channels, taps)) in enumerate(SHAPES.items()):
        scale = (2 / (channels * taps**2)) ** 0.5
        found[f"features.{layer}.weight"] = scale * random.normal(
            size=(filters, channels, taps, taps)
        )
        found[f"features.{layer}.bias"] = 0.1 * random.normal(size=filters)
        found[f"lin{i}.model.1.weight"] = random.random((1, filters, 1, 1))
    return found


@pytest.fixture(scope="module")
def file(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "lpips_alex.npz"
    np.savez(path, **arrays)
    return str(path)


def windows(x, taps, stride):
    view = np.lib.stride_tricks.sliding_window_view(x, (taps, taps), axis=(1, 2))
    return view[:, ::stride, ::stride]


def witness(a, b, arrays):
    """One pair of frames [H, W, 3], in float64, channels first."""
    shift, scale = [-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]
    pair = [((2 * x - 1 - shift) / scale).transpose(2, 0, 1) for x in (a, b)]
    total = 0.0
    for i, (layer, (_, _, taps)) in enumerate(SHAPES.items()):
        kernel = arrays[f"features.{layer}.weight"]
        bias = arrays[f"features.{layer}.bias"]
        units = []
        for n, x in enumerate(pair):
            if layer in (3, 6):
                x = windows(x, 3, 2).max((-1, -2))
            pad = 2 if taps > 3 else 1
            x = np.pad(x, [(0, 0), (pad, pad), (pad, pad)])
            x = windows(x, taps, 4 if layer == 0 else 1)
            x = np.tensordot(kernel, x, [(1, 2, 3), (0, 3, 4)]) + bias[:, None, None]
            pair[n] = x = np.maximum(x, 0)
            units.append(x / (np.sqrt((x**2).sum(0)) + 1e-10))
        head = arrays[f"lin{i}.model.1.weight"][0]
        total += (head * (units[0] - units[1]) ** 2).sum(0).mean()
    return total


@pytest.mark.parametrize("height, width", [(31, 31), (40, 67)])
def test_against_numpy(random, arrays, height, width):
    a = random.random((2, 2, height, width, 3))
    b = np.clip(a + 0.2 * random.normal(size=a.shape), 0, 1)
    weights = metrics.lpips_weights(arrays)
    found = np.array(metrics.lpips(a, b, weights))
    wanted = [[witness(*p, arrays) for p in zip(*c, strict=True)]
              for c in zip(a, b, strict=True)]  # fmt: skip
    # float32 through five convolutions of up to 3456 products.
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert (np.array(metrics.lpips(a, a, weights)) == 0).all()


def test_the_crop(random, arrays):
    a, b = random.random((2, 50, 40, 3))
    weights = metrics.lpips_weights(arrays)
    found = metrics.lpips(a, b, weights, crop=4)
    wanted = witness(a[4:-4, 4:-4], b[4:-4, 4:-4], arrays)
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_weights_from_a_file_and_from_the_hub(arrays, file, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "stablevid_tf.hub.fetch", lambda *arguments: asked.append(arguments) or file
    )
    wanted = metrics.lpips_weights(arrays)
    for found in (
        metrics.lpips_weights(file),
        metrics.lpips_weights("hf://someone/lpips@v1", sha256="ab" * 32),
    ):
        for a, b in zip(found["convs"], wanted["convs"], strict=True):
            np.testing.assert_array_equal(a[0], b[0])
    assert asked == [("someone/lpips", "lpips_alex.npz", "v1", "ab" * 32)]


def without(arrays, name):
    return {k: v for k, v in arrays.items() if k != name}


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda a, f: metrics.lpips_weights(None), ValueError, "torchvision"),
        (lambda a, f: metrics.lpips_weights("no.npz"), FileNotFoundError, "savez"),
        (lambda a, f: metrics.lpips_weights(__file__), ValueError, "not an .npz"),
        (lambda a, f: metrics.lpips_weights("hf://u/r"), ValueError, "revision"),
        (lambda a, f: metrics.lpips_weights("hf://u/r@v1"), ValueError, "sha256"),
        (
            lambda a, f: metrics.lpips_weights(without(a, "features.8.bias")),
            ValueError,
            "features.8.bias",
        ),
        (
            lambda a, f: metrics.lpips_weights(a | {"features.3.bias": np.zeros(3)}),
            ValueError,
            r"\(192,\)",
        ),
        (
            lambda a, f: metrics.lpips_weights(
                a | {"features.3.bias": np.full(192, np.nan)}
            ),
            ValueError,
            "finite",
        ),
        (lambda a, f: metrics.LPIPS(f, y=True), ValueError, "RGB"),
        (lambda a, f: metrics.LPIPS(a).get_config(), ValueError, "cannot be saved"),
    ],
)
def test_what_is_missing_is_told(arrays, file, call, error, words):
    with pytest.raises(error, match=words):
        call(arrays, file)


@pytest.mark.parametrize("shape, words", [((30, 40, 3), "31"), ((40, 40, 1), "RGB")])
def test_frames_that_do_not_suit(arrays, shape, words):
    weights = metrics.lpips_weights(arrays)
    with pytest.raises(ValueError, match=words):
        metrics.lpips(np.zeros(shape), np.zeros(shape), weights)


def test_no_code_is_read_from_a_file(tmp_path):
    np.savez(tmp_path / "bad.npz", x=np.array([object()], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        metrics.lpips_weights(tmp_path / "bad.npz")


def test_the_metric(random, arrays, file):
    clips = random.random((2, 2, 31, 33, 3)).astype("float32")
    inputs = keras.Input((None, None, None, 3))
    model = keras.Model(inputs, keras.layers.Rescaling(0.8)(inputs))
    metric = metrics.LPIPS(file, frames="last")
    model.compile(loss="mse", metrics=[metric], jit_compile=False)
    found = model.evaluate(clips, clips, verbose=0, return_dict=True)
    wanted = np.mean([witness(0.8 * c[-1], c[-1], arrays) for c in clips])
    assert found["lpips_last"] == pytest.approx(wanted, rel=1e-4)
    twin = metrics.LPIPS.from_config(metric.get_config())
    twin.update_state(clips, 0.8 * clips)
    assert float(twin.result()) == pytest.approx(wanted, rel=1e-4)
