"""Every recurrence on every backbone, recomputed in NumPy float64.

Tested: whole clips at scale 1 and 2, windows of 1 and 3 frames, with and without the
global skip, eager and compiled; states; the windows; what a cell refuses.
Not tested: the 64-feature sizes (only their parameter counts, tests/models).
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import witness

from stablevid_tf import cells

RECURRENCES = {
    "single": cells.SingleCell,
    "frame": cells.FrameCell,
    "feat": cells.FeatCell,
    "rlsp": cells.RLSPCell,
    "shift": cells.ShiftCell,
    "birlsp": cells.BiRLSP,
}
CASES = list(
    itertools.product(RECURRENCES, ("vdncnn", "vresnet"), (1, 2), (1, 3), (True, False))
)
FEATURES, STAGES = 3, 3


def build(recurrence, backbone, scale=1, window=1, skip=True, channels=3, **kwargs):
    cell = RECURRENCES[recurrence](
        backbone=backbone,
        features=FEATURES,
        stages=STAGES,
        scale=scale,
        window=window,
        skip=skip,
        channels=channels,
        **kwargs,
    )
    cell.build_by_call()
    random = np.random.default_rng(1)
    for variable in cell.trainable_variables:
        fan_in = np.prod(variable.shape[:-1])
        variable.assign(random.normal(size=variable.shape) / fan_in**0.5)
    return cell


def weights(cell):
    """The cell's kernels and biases, as the witness takes them."""
    pair = lambda conv: (conv.kernel.numpy(), conv.bias.numpy())  # noqa: E731
    body = lambda stages: [[pair(c) for c in s.convs] for s in stages]  # noqa: E731
    found = {"head": pair(cell.head), "body": body(cell.body), "tail": pair(cell.tail)}
    if hasattr(cell, "backward_body"):
        found["backward"] = body(cell.backward_body)
    return found


def clip(channels=3, length=4):
    random = np.random.default_rng(0)
    return random.random((2, length, 5, 6, channels), dtype="float32")


def run(cell, frames):
    if isinstance(cell, cells.BiRLSP):
        return cell(frames)
    return cells.unroll(cell, frames)[0]


@pytest.mark.parametrize("recurrence, backbone, scale, window, skip", CASES)
def test_cell(recurrence, backbone, scale, window, skip):
    cell = build(recurrence, backbone, scale, window, skip)
    frames = clip()
    settings = {"scale": scale, "skip": skip, "window": window}
    if recurrence == "birlsp":
        truth = witness.restore_both_ways(weights(cell), frames, **settings)
    else:
        truth = witness.restore(recurrence, weights(cell), frames, **settings)
    found = run(cell, tf.constant(frames))
    assert found.shape == (2, 4, 5 * scale, 6 * scale, 3)
    # Float32 through eight convolutions and four frames, against float64.
    tolerance = 2e-5 * np.abs(truth).max()
    np.testing.assert_allclose(found, truth, atol=tolerance)
    if skip and (scale, window) in ((1, 1), (2, 3)):
        # Compiled, with nothing known of the sizes: a while loop over time.
        traced = tf.function(
            lambda x: run(cell, x),
            input_signature=[tf.TensorSpec((None, None, None, None, 3))],
        )
        np.testing.assert_allclose(traced(frames), truth, atol=tolerance)


@pytest.mark.parametrize("recurrence", sorted(set(RECURRENCES) - {"birlsp"}))
def test_states(recurrence):
    cell = build(recurrence, "vresnet", scale=2, window=3)
    seen = witness.windows(clip(length=3), 3)
    state, true_state = cell.initial_state(clip()[:, 0]), None
    for value in tf.nest.flatten(state):
        assert np.abs(value).max() == 0
    for t in range(3):
        out, state = cell(seen[:, t], state)
        truth, true_state = witness.step(
            recurrence, weights(cell), seen[:, t], true_state, scale=2
        )
        np.testing.assert_allclose(out, truth, atol=1e-4)  # float32
        assert len(tf.nest.flatten(state)) == len(true_state)
        for a, b in zip(tf.nest.flatten(state), true_state, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_recurrent_cells_remember_and_single_ones_do_not():
    frames = clip()
    other = frames.copy()
    other[:, 0] = 1 - other[:, 0]
    for recurrence in set(RECURRENCES) - {"birlsp"}:
        cell = build(recurrence, "vresnet")
        change = np.abs(run(cell, frames) - run(cell, other)).max(axis=(0, 2, 3, 4))
        if recurrence == "single":
            assert change[1:].max() == 0
        else:
            assert change[1] > 1e-6


def test_shift_remembers_exactly_as_many_frames_as_it_has_stages():
    cell = build("shift", "vresnet")
    frames = clip(length=STAGES + 3)
    other = frames.copy()
    other[:, 0] = 1 - other[:, 0]
    change = np.abs(run(cell, frames) - run(cell, other)).max(axis=(0, 2, 3, 4))
    assert (change[: STAGES + 1] > 0).all()
    # Feedforward: beyond its stages nothing is left, exactly.
    assert (change[STAGES + 1 :] == 0).all()


def test_grey():
    cell = build("frame", "vdncnn", scale=2, window=3, channels=1)
    frames = clip(channels=1)
    truth = witness.restore("frame", weights(cell), frames, 3, channels=1, scale=2)
    np.testing.assert_allclose(run(cell, frames), truth, atol=1e-4)  # float32


@pytest.mark.parametrize("length, window", [(1, 7), (2, 7), (3, 3), (5, 1), (9, 7)])
def test_windows_repeat_the_edges(length, window):
    frames = clip(length=length)
    # Copies only: exact.
    np.testing.assert_array_equal(
        cells.windows(tf.constant(frames), window), witness.windows(frames, window)
    )


def test_unroll_goes_on_from_a_state():
    cell = build("feat", "vresnet")
    frames = tf.constant(clip(length=6))
    whole, last = cells.unroll(cell, frames)
    first, state = cells.unroll(cell, frames[:, :2])
    second, end = cells.unroll(cell, frames[:, 2:], state)
    np.testing.assert_allclose(first, whole[:, :2], atol=1e-6)
    np.testing.assert_allclose(second, whole[:, 2:], atol=1e-6)
    for a, b in zip(end, last, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"backbone": "unet"}, "backbone must be one of"),
        ({"features": 0}, "features"),
        ({"stages": -1}, "stages"),
        ({"stages": 0}, "stages"),
        ({"channels": 1.5}, "channels"),
        ({"scale": 0}, "scale"),
        ({"window": 2}, "odd number"),
        ({"window": 0}, "odd number"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        cells.FeatCell(**arguments)


def test_a_cell_without_loops_says_what_to_write():
    with pytest.raises(NotImplementedError, match=r"loops\(self\)"):
        cells.RecurrentVideoCell().loops()
