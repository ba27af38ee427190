"""Frame-number conditioning: the channel, the counter, and where it lies.

Tested: clips against NumPy with the channel appended by hand, at the front and beyond
the last number; clip = steps with windows too; a state that starts at a true place,
one for each clip of a batch; unrolling goes on from a state; BiRLSP; RLSP's number is
not scaled; one input channel of the first convolution more; loops untouched.
Not tested: what conditioning is good for.
"""

import numpy as np
import pytest
import tensorflow as tf
import witness
import witness_recurrent
from test_equations import build, clip, weights

from stablevid_tf import cells, diagnostics, models
from stablevid_tf.constraints import SRNC

LIMIT = 3


def by_hand(recurrence, cell, frames, before=(0, 0)):
    """Restored clips [B, T, ...], each clip's first frame being the (before+1)-th."""
    found = []
    for one, start in zip(frames, before, strict=True):
        state, restored = None, []
        seen = witness.windows(one[None].astype("float64"), cell.window)
        for t in range(frames.shape[1]):
            x = witness_recurrent.numbered(seen[:, t], start + t + 1, LIMIT)
            out, state = step(recurrence, weights(cell), x, state, cell.window)
            restored.append(out)
        found.append(np.concatenate(restored))
    return np.stack(found)


def step(recurrence, pairs, x, state, window):
    # The witness takes the centre for the skip: no part of the frame number.
    out, state = witness.step(recurrence, pairs, x, state, skip=False)
    start = window // 2 * 3
    out = out + x[..., start : start + 3]
    # The output that -frame feeds back holds the skip too.
    return out, [out] if recurrence == "frame" else state


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("recurrence", ["frame", "feat", "rlsp"])
def test_clips_and_steps(recurrence, window):
    cell = build(recurrence, "vresnet", window=window, frame_number=LIMIT)
    assert cell.inputs == 3 * window + 1
    frames = clip(length=5)
    wanted = by_hand(recurrence, cell, frames)
    model = models.RecurrentRestorer(cell)
    # Float32 through eight convolutions and five frames, against float64.
    tolerance = 2e-5 * np.abs(wanted).max()
    np.testing.assert_allclose(model(frames), wanted, atol=tolerance)
    # ... and frame by frame, each clip at a place of its own in its video.
    wanted = by_hand(recurrence, cell, frames, before=(0, 1))
    state = model.initial_state(frames[:, 0], number=np.array([0, 1]))
    found = []
    for t in range(5 + model.latency):
        out, state = model.step(frames[:, min(t, 4)], state)
        found.append(np.array(out))
    found = np.stack(found[model.latency :], 1)
    np.testing.assert_allclose(found, wanted, atol=tolerance)
    counter = (state if window == 1 else state["cell"])["number"]
    np.testing.assert_array_equal(counter, [LIMIT, LIMIT])


def test_unrolling_goes_on_counting():
    cell = build("feat", "vdncnn", frame_number=LIMIT)
    frames = tf.constant(clip(length=4))
    whole, _ = cells.unroll(cell, frames)
    first, state = cells.unroll(cell, frames[:, :2])
    np.testing.assert_array_equal(state["number"], [2, 2])
    second, _ = cells.unroll(cell, frames[:, 2:], state)
    np.testing.assert_allclose(tf.concat([first, second], 1), whole, atol=1e-6)
    # The number counts: a clip cut out of the middle is another clip.
    late, _ = cells.unroll(cell, frames, cell.start(frames[:, 0], 2))
    assert np.abs(late - whole).max() > 1e-3


def test_birlsp_counts_places_in_the_clip():
    cell = build("birlsp", "vresnet", frame_number=2)
    frames = clip(length=3)
    numbers = np.array([0.5, 1.0, 1.0])[None, :, None, None, None]
    plane = np.broadcast_to(numbers, (2, 3, 5, 6, 1))
    seen = np.concatenate([frames, plane], -1)
    wanted = witness.restore_both_ways(weights(cell), seen, skip=False) + frames
    np.testing.assert_allclose(cell(frames), wanted, atol=2e-5 * np.abs(wanted).max())


def test_the_number_is_not_scaled_for_rlsp():
    cell = cells.RLSPSuperResolution(features=4, frame_number=8)
    frames = cell.numbered(np.ones((1, 2, 2, 9), "float32"), np.array([2]))
    levels = cell.levels(frames)
    np.testing.assert_array_equal(levels[0, 0, 0], [255.0] * 9 + [0.25])


@pytest.mark.parametrize("name", ["rlsp", "vresnet_birlsp", "vresnet_frame_mf3"])
def test_one_input_channel_more_and_the_same_loops(name):
    held = SRNC(0.9, where="loop", frame_size=8)
    plain = models.build(name, features=4, constraint=held)
    model = models.build(name, features=4, constraint=held, frame_number=9)
    count = lambda m: sum(np.prod(v.shape) for v in m.trainable_variables)  # noqa: E731
    assert count(model) == count(plain) + 9 * 4
    for a, b in zip(plain.loops(), model.loops(), strict=True):
        for mine, other in zip(a.slices(), b.slices(), strict=True):
            states = [p.conv.kernel.shape[2] - (p.start or 0) for p in (mine, other)]
            assert states[0] == states[1]
    assert diagnostics.certify(model).certified
    assert model.network.get_config()["frame_number"] == 9


def test_wrong_limits():
    for limit in (0, -1, 2.5):
        with pytest.raises(ValueError, match="frame_number"):
            models.build("vresnet_feat", features=4, frame_number=limit)
