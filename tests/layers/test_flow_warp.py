"""The flow warp, and what it leaves the house as.

Tested: both paddings and both conventions against grid_sample in NumPy float64, also
far outside; integer shifts bit for bit; gradients in both arguments against finite
differences of the witness; the infinity norm; half precision; flows that are no
numbers; SavedModel, LiteRT and ONNX files give the same numbers.
Not tested: speed.
"""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
import witness_flow

from stablevid_tf import backend
from stablevid_tf.layers import FlowWarp

EVERY = pytest.mark.parametrize(
    "padding, align_corners",
    [(p, a) for p in ("zeros", "border") for a in (True, False)],
)


def drawn(shape=(2, 6, 9, 3), spread=4.0, seed=0):
    """A picture, and flows of which a good part points outside."""
    random = np.random.default_rng(seed)
    x = random.normal(size=shape).astype("float32")
    flow = spread * random.normal(size=(*shape[:3], 2))
    return x, flow.astype("float32")


@EVERY
@pytest.mark.parametrize("shape", [(2, 6, 9, 3), (1, 1, 7, 2), (1, 5, 1, 1)])
def test_against_numpy(padding, align_corners, shape):
    x, flow = drawn(shape)
    if align_corners:
        # Along an axis of one pixel grid_sample cannot tell positions apart.
        flow *= np.array([n > 1 for n in shape[2:0:-1]])
    y = FlowWarp(padding, align_corners)(x, flow)
    wanted = witness_flow.warp(x, flow, padding, align_corners)
    # A position near 10 has steps of 1e-6 in float32.
    np.testing.assert_allclose(y, wanted, atol=2e-5)


def test_the_conventions_differ():
    x, flow = drawn()
    aligned, not_aligned = (np.asarray(FlowWarp("zeros", a)(x, flow)) for a in (1, 0))
    assert np.abs(aligned - not_aligned).max() > 0.1


def test_far_outside_nothing_overflows():
    x, _ = drawn()
    far = np.full((2, 6, 9, 2), 1e30, "float32")
    assert not np.asarray(FlowWarp("zeros")(x, far)).any()
    assert not np.asarray(FlowWarp("zeros")(x, -far)).any()
    corner = np.broadcast_to(x[:, -1:, -1:], x.shape)
    np.testing.assert_array_equal(FlowWarp("border")(x, far), corner)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_error(bad):
    x, flow = drawn()
    flow[0, 2, 3] = bad
    good = np.ones((2, 6, 9), bool)
    good[0, 2, 3] = False
    for padding in ("zeros", "border"):
        assert np.isfinite(np.asarray(FlowWarp(padding)(x, flow))[good]).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("right, down", [(0, 0), (2, -1), (-3, 5), (9, 0)])
def test_whole_pixels_are_moved_bit_for_bit(dtype, right, down):
    x = keras.ops.cast(drawn()[0], dtype)
    flow = np.zeros((2, 6, 9, 2), "float32") + np.float32([right, down])
    rows, columns = np.arange(6) + down, np.arange(9) + right
    inside = ((rows >= 0) & (rows < 6))[:, None] & (columns >= 0) & (columns < 9)
    nearest = np.asarray(keras.ops.cast(x, "float64"))
    nearest = nearest[:, rows.clip(0, 5)][:, :, columns.clip(0, 8)]
    for padding, wanted in (
        ("border", nearest),
        ("zeros", nearest * inside[..., None]),
    ):
        y = FlowWarp(padding, dtype="mixed_bfloat16")(x, flow)
        assert keras.backend.standardize_dtype(y.dtype) == dtype
        np.testing.assert_array_equal(keras.ops.cast(y, "float64"), wanted)


def test_positions_are_float32_under_half_precision():
    x, flow = drawn((1, 4, 600, 1), 1.0)
    half = FlowWarp(dtype="mixed_bfloat16")(x, flow)
    # bfloat16 could not tell column 511 from 512.
    np.testing.assert_array_equal(half, FlowWarp()(x, flow))


@EVERY
def test_gradients_against_finite_differences(padding, align_corners):
    x, flow = drawn((1, 4, 5, 2), 2.0, seed=3)
    # Positions drawn are not whole, where the derivative jumps.
    weights = np.random.default_rng(1).normal(size=x.shape).astype("float32")
    layer = FlowWarp(padding, align_corners)
    total = lambda x, flow: keras.ops.sum(weights * layer(x, flow))  # noqa: E731
    true = lambda x, flow: float(  # noqa: E731
        (weights * witness_flow.warp(x, flow, padding, align_corners)).sum()
    )
    _, by_x = backend.gradient(lambda a: total(a, flow), x)
    _, by_flow = backend.gradient(lambda a: total(x, a), flow)
    for which, found in ((0, by_x), (1, by_flow)):
        found = np.asarray(tf.convert_to_tensor(found))
        for at in np.ndindex(found.shape):
            ends = []
            for sign in (1, -1):
                moved = [x.astype("float64"), flow.astype("float64")]
                moved[which][at] += sign * 1e-6
                ends.append(true(*moved))
            slope = (ends[0] - ends[1]) / 2e-6
            assert abs(found[at] - slope) < 1e-3, (which, at)


def test_forward_mode_is_the_same_derivative():
    x, flow = drawn((1, 4, 5, 2))
    tangent = drawn((1, 4, 5, 2), seed=5)[0]
    warp = lambda a: FlowWarp()(a, tf.constant(flow))  # noqa: E731
    # Linear in the picture: the product is the warp of the tangent.
    _, moved = backend.jvp(warp, tf.constant(x), tf.constant(tangent))
    np.testing.assert_allclose(moved, warp(tangent), atol=1e-6)


@EVERY
def test_the_infinity_norm_does_not_grow(padding, align_corners):
    x, flow = drawn(spread=2.0)
    y = FlowWarp(padding, align_corners)(x, flow)
    # Weights sum to 1, rounded to float32.
    assert np.abs(y).max() <= np.abs(x).max() * (1 + 1e-6)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"padding must be one of.*'reflect'"):
        FlowWarp("reflect")


# ------------------------------------------------------------------------- exports


def model(size=(None, None), batch=None):
    x = keras.Input((*size, 3), batch_size=batch, name="x")
    flow = keras.Input((*size, 2), batch_size=batch, name="flow")
    return keras.Model([x, flow], FlowWarp("border")(x, flow))


def test_saved_model(tmp_path):
    model().export(str(tmp_path / "warp"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "warp")).serve
    for shape in ((2, 6, 9, 3), (1, 5, 4, 3)):
        x, flow = drawn(shape)
        np.testing.assert_array_equal(served([x, flow]), FlowWarp("border")(x, flow))


def test_litert():
    converter = tf.lite.TFLiteConverter.from_keras_model(model((6, 9), 2))
    # The built-in operations of LiteRT alone: no TensorFlow on the device.
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    x, flow = drawn()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], x if detail["shape"][-1] == 3 else flow)
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(y, FlowWarp("border")(x, flow), atol=1e-6)


@pytest.mark.skipif(
    not all(importlib.util.find_spec(n) for n in ("tf2onnx", "onnxruntime")),
    reason="tf2onnx and onnxruntime are not installed (the extra `onnx`)",
)
def test_onnx(tmp_path):
    import onnxruntime

    path = str(tmp_path / "warp.onnx")
    exported = model()
    exported(list(drawn()))  # Keras exports to ONNX what was called once
    exported.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    for shape in ((2, 6, 9, 3), (1, 5, 4, 3)):
        x, flow = drawn(shape)
        (y,) = session.run(None, {"x": x, "flow": flow})
        np.testing.assert_allclose(y, FlowWarp("border")(x, flow), atol=1e-6)
