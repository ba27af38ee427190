"""DBDNet, MRVSR and Mobile RRN, recomputed in NumPy float64.

Tested: two or three frames of random weights against the equations written out, with
and without a frame number; states; both branches of DBDNet in the loss; the loops they
declare, held, certified and complete; clips = steps at odd sizes; files; a `fit` step;
bilinear enlargement; what is refused.
Not tested: how well they restore (tests/models/test_overfit.py).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import witness_recurrent as witness
from streamed import streamed

from stablevid_tf import cells, diagnostics, metrics, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.layers import GainConv2D
from stablevid_tf.layers.bilinear import enlarge
from stablevid_tf.models.restorer import convs

NAMES = ("dbdnet", "mobile_rrn", "mrvsr")
FEATURES = 4
LIMIT = 2  # a counter that stands still within the clips below


def build(name, deviation=1.0, **arguments):
    """A small model whose kernels and biases all matter."""
    keras.utils.set_random_seed(0)
    model = models.build(name, features=FEATURES, **arguments)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        scale = deviation / np.prod(variable.shape[:-1]) ** 0.5
        variable.assign(scale * random.normal(size=variable.shape))
    return model


def clip(length=3, height=5, width=6, channels=3):
    shape = (2, length, height, width, channels)
    return np.random.default_rng(1).random(shape, dtype="float32")


def pair(conv):
    return conv.kernel.numpy().astype("float64"), conv.bias.numpy().astype("float64")


def channels_of(frames, t, limit):
    frames = frames.astype("float64")
    return frames if limit is None else witness.numbered(frames, t, limit)


@pytest.mark.parametrize("limit", [None, LIMIT])
@pytest.mark.parametrize("feedback", [True, False])
def test_dbdnet(feedback, limit):
    model = build("dbdnet", feedback=feedback, frame_number=limit)
    weights = {
        "single": [pair(c) for c in model.cell.single],
        "multi": [pair(c) for c in model.cell.multi],
    }
    frames, state, wanted, alone = clip(), None, [], []
    for t in range(3):
        seen = channels_of(frames[:, t], t + 1, limit)
        out, single, state = witness.dbdnet(weights, seen, state, feedback)
        wanted.append(out)
        alone.append(single)
    wanted, alone = np.stack(wanted, 1), np.stack(alone, 1)
    found, last = cells.unroll(model.cell, tf.constant(frames))
    # float32 through sixteen convolutions and three frames, against float64.
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())
    last = last["state"] if limit else last
    assert len(last) == 7 + feedback
    for a, b in zip(last, state, strict=False):
        np.testing.assert_allclose(a, b, atol=1e-4)
    auxiliary = model.cell.auxiliary(tf.constant(frames))
    np.testing.assert_allclose(auxiliary, alone, atol=2e-5 * np.abs(alone).max())


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_mrvsr(limit):
    model = build("mrvsr", frame_number=limit)
    cell = model.cell
    weights = {
        "xi": [pair(c) for c in cell.xi],
        "state": pair(cell.of_state),
        "phi": pair(cell.phi),
        "psi": [pair(c) for c in (*cell.psi, cell.tail)],
    }
    frames, hidden, wanted = clip(), np.zeros((2, 5, 6, FEATURES)), []
    for t in range(3):
        three = [frames[:, min(max(s, 0), 2)] for s in (t - 1, t, t + 1)]
        seen = channels_of(np.concatenate(three, -1), t + 1, limit)
        out, hidden = witness.mrvsr(weights, seen, hidden)
        wanted.append(out)
    wanted = np.stack(wanted, 1)
    found = model.predict(frames, verbose=0)
    assert np.abs(wanted).max() > 1
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("limit", [None, LIMIT])
def test_mobile_rrn(limit):
    model = build("mobile_rrn", frame_number=limit)
    cell = model.cell
    weights = {name: pair(getattr(cell, name)) for name in ("head", "hidden", "tail")}
    weights["body"] = [[pair(c) for c in s.convs] for s in cell.body]
    frames, hidden, wanted = clip(), np.zeros((2, 5, 6, FEATURES)), []
    previous = np.zeros((2, 5, 6, 3))
    for t in range(3):
        seen = channels_of(frames[:, t], t + 1, limit)
        out, hidden = witness.mobile_rrn(weights, seen, hidden, previous)
        previous = frames[:, t].astype("float64")
        wanted.append(out)
    wanted = np.stack(wanted, 1)
    found = model.predict(frames, verbose=0)
    np.testing.assert_allclose(found, wanted, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_bilinear_enlargement(scale):
    x = clip()[:, 0]
    wanted = witness.enlarge(x.astype("float64"), scale, witness.triangle)
    np.testing.assert_allclose(enlarge(tf.constant(x), scale), wanted, atol=1e-6)
    # TensorFlow's own, which cannot be differentiated twice.
    size = [scale * n for n in x.shape[1:3]]
    np.testing.assert_allclose(tf.image.resize(x, size), wanted, atol=1e-6)


def test_the_loss_of_dbdnet_holds_both_branches_to_the_truth():
    model = build("dbdnet")
    model.compile("sgd", "mse", metrics=[metrics.PSNR()], run_eagerly=True)
    frames = clip()
    truth = 1 - frames
    restored = model.predict(frames, verbose=0)
    alone = model.cell.auxiliary(frames)
    wanted = (np.mean((restored - truth) ** 2) + np.mean((alone - truth) ** 2)) / 2
    loss, psnr = model.evaluate(frames, truth, verbose=0)
    assert loss == pytest.approx(wanted, rel=1e-5)  # float32 means
    # The metric sees the restored frames alone.
    metric = metrics.PSNR()
    metric.update_state(truth, restored)
    assert psnr == pytest.approx(float(metric.result()), rel=1e-4)
    # Without feedback only the second loss reaches the first branch's last layer.
    model = build("dbdnet", feedback=False)
    model.compile("sgd", "mse", run_eagerly=True)
    before = model.cell.single[-1].kernel.numpy()
    model.fit(frames, truth, sample_weight=np.ones((2, 1, 1, 1)), verbose=0)
    assert np.abs(model.cell.single[-1].kernel.numpy() - before).max() > 1e-5


@pytest.mark.parametrize(
    "name, where",
    [
        ("dbdnet", "loop"),
        ("mrvsr", "loop"),
        ("mobile_rrn", "loop"),
        *(
            pytest.param(name, where, marks=pytest.mark.large)
            for name, where in (
                ("dbdnet", "all"),
                ("dbdnet", "body"),
                ("mobile_rrn", "all"),
                ("mobile_rrn", "body"),
                ("mrvsr", "all"),
                ("mrvsr", "body"),
            )
        ),
    ],
)
def test_constrained(name, where):
    constraint = SRNC(0.9, where=where, frame_size=8)
    model = build(name, deviation=3.0, constraint=constraint, frame_number=LIMIT)
    found = diagnostics.certify(model)
    wanted = {"dbdnet": 8, "mrvsr": 1, "mobile_rrn": 1}[name]
    assert len(found.loops) == wanted
    assert found.matrix.shape == (wanted, wanted)
    # All convolutions at norm 0.9 make a loop of plain ones, not of residuals or of
    # an output convolution that where="body" leaves out, a contraction.
    held = where == "loop" or name == "mrvsr" or (name, where) == ("dbdnet", "all")
    assert found.certified is held
    if where == "loop":
        assert 0.85 < found.contraction <= 0.9
    frames = clip(4)
    whole = model.predict(frames, verbose=0)
    scale = np.abs(whole).max()
    np.testing.assert_allclose(streamed(model, frames), whole, atol=1e-5 * scale)


def test_only_the_state_convolution_of_mrvsr_is_scaled():
    constraint = SRNC(0.5, where="loop", frame_size=8)
    model = build("mrvsr", deviation=3.0, constraint=constraint)
    twin = model.fold()
    changed = [
        b is twin.cell.of_state.kernel
        for a, b in zip(model.trainable_variables, twin.variables, strict=True)
        if np.abs(a.numpy() - b.numpy()).max() > 0
    ]
    assert changed == [True]
    watched = [c for c in convs(model.cell) if isinstance(c, GainConv2D)]
    assert watched == [model.cell.of_state, model.cell.phi]


@pytest.mark.parametrize("name", NAMES)
def test_the_loops_are_complete(name):
    # Cut every declared entry slice: the state has no way left back into the state.
    model = build(name)
    for loop in model.loops():
        kernel = loop.entry.conv.kernel.numpy()
        kernel[:, :, loop.entry.start : loop.entry.stop] = 0
        loop.entry.conv.kernel.assign(kernel)
    frame = clip(channels=9 if name == "mrvsr" else 3)[:, 0]
    zero = model.cell.initial_state(frame)
    shifted = keras.tree.map_structure(lambda s: s + 1.0, zero)
    if name == "mobile_rrn":
        shifted = (shifted[0], zero[1])  # the frame before is input
    _, a = model.cell(frame, zero)
    _, b = model.cell(frame, shifted)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_cascade_of_dbdnet():
    # e(t) <= G e(t-1), state by state, with the certificate's own G.
    model = build("dbdnet", deviation=1.5)
    matrix = diagnostics.certify(model).matrix
    frame = clip()[:1, 0]
    random = np.random.default_rng(3)
    state = [random.random(s.shape, "float32") for s in model.initial_state(frame)]
    size = lambda a, b: np.array(  # noqa: E731
        [np.linalg.norm(np.asarray(x) - y) for x, y in zip(a, b, strict=True)]
    )
    for moved in range(8):
        other = list(state)
        other[moved] = other[moved] + random.normal(size=other[moved].shape).astype(
            "float32"
        )
        before = size(state, other)
        _, first = model.step(frame, tuple(state))
        _, second = model.step(frame, tuple(other))
        after = size(first, [np.asarray(x) for x in second])
        assert after[moved] > 0
        assert (after <= matrix @ before + 1e-4).all()
        assert (after[:moved] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes_files_and_a_step_of_training(name, tmp_path):
    model = build(name, frame_number=120)
    scale = model.scale
    for length, height, width in ((1, 13, 18), (4, 13, 18), (2, 1, 3)):
        frames = clip(length, height, width)
        whole = model.predict(frames, verbose=0)
        assert whole.shape == (2, length, scale * height, scale * width, 3)
        tolerance = 1e-5 * np.abs(whole).max()
        np.testing.assert_allclose(streamed(model, frames), whole, atol=tolerance)
    frames = clip(2, 8, 8)
    truth = np.zeros((2, 2, 8 * scale, 8 * scale, 3), "float32")
    model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
    before = model.get_weights()
    model.fit(frames, truth, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        assert np.abs(a - b).max() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded(frames).numpy(), model(frames).numpy())


@pytest.mark.parametrize(
    "cls, arguments, words",
    [
        (cells.DBDNet, {"window": 3}, "sees one frame"),
        (cells.DBDNet, {"scale": 2}, "at scale 1"),
        (cells.DBDNet, {"features": 0}, "features"),
        (cells.MRVSR, {"channels": 1}, "RGB by 4"),
        (cells.MRVSR, {"features": 1.5}, "features"),
        (cells.MobileRRN, {"scale": 2}, "by 4"),
        (cells.MobileRRN, {"blocks": 0}, "blocks"),
    ],
)
def test_wrong_arguments(cls, arguments, words):
    with pytest.raises(ValueError, match=words):
        cls(**arguments)
