"""The networks with convex memories, MemoryUNet and MemoryCell.

Tested: one step and a clip against NumPy float64, aligned and not, at scales 1 and 2,
with windows, grey, of sides that no block divides; clip = steps bit for bit, flows
computed ahead = frame by frame; the state's shapes and its float32 under mixed
precision; the certificate, and that states contract as it says, through the warp;
constraints, a training step, folding; `.keras`, weights and configurations;
dampening's refusal; a noise map and frame numbers; wrong arguments.
Not tested: training to a quality; `remember` alone (tests/layers/test_remember.py);
counts of parameters (tests/models/test_architectures.py).
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import witness
import witness_flow
import witness_memory
from layer_check import arrays, randomise

from stablevid_tf import cells, diagnostics, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.layers import LucasKanade
from stablevid_tf.layers.loop import Loop, Retention, Warp
from stablevid_tf.layers.pixel_shuffle import depth_to_space, space_to_depth
from stablevid_tf.models import dampened
from stablevid_tf.models.dampened import can_dampen

UNET = {"features": (4, 6), "blocks": (1, 1), "memory_features": 14}
SMALL = {
    "memory_unet": UNET | {"groups": 2, "gate_features": 3},
    "vresnet_memory": {"features": 4, "blocks": 2, "groups": 2, "gate_features": 3},
    "vdncnn_memory": {"features": 4, "depth": 2, "groups": 2, "gate_features": 3},
}
FREE, ALIGNED, COARSELY = {"align": None}, {"align": "full"}, {"align": "half"}
HELD = {
    "all": SRNC(2.0, 0.5, frame_size=8),
    "body": SRNC(2.0, 0.5, where="body", frame_size=8),
    "loop": SRNC(0.9, where="loop", frame_size=8),
}


@pytest.fixture(autouse=True)
def small_pyramid(monkeypatch):
    """Flow pyramids of one halving, not five, which take a second to trace."""
    flow = functools.partial(LucasKanade, levels=1)
    monkeypatch.setattr("stablevid_tf.cells.convex_memory.LucasKanade", flow)


def values(cell):
    """The convolutions whose outputs the memories are given."""
    return [cell.value] if isinstance(cell, cells.MemoryUNet) else cell.values


def build(name, seed=0, **arguments):
    """A small model whose every weight matters."""
    model = models.build(name, **SMALL[name.split("_mf")[0]] | arguments)
    randomise(model, seed)
    cell = model.cell
    # Gates that keep and gates that forget; memories that matter.
    for conv in (cell.look, *cell.gate, *values(cell)):
        conv.kernel.assign(3 * conv.kernel)
    return model


def clip(length=3, height=19, width=21, channels=3, seed=0):
    """Smooth pictures, which move by 2 and 1 pixels a frame, and change.

    Smooth: then rounding of a flow changes little.
    """
    random = np.random.default_rng(seed)
    size = height + length, width + 2 * length
    wide = witness_flow.resize(random.random((2, 6, 6, channels)), *size)
    other = random.random((2 * length, 4, 4, channels))
    other = witness_flow.resize(other, height, width)
    other = other.reshape(2, length, height, width, channels)
    moving = [wide[:, t : t + height, 2 * t : 2 * t + width] for t in range(length)]
    return (0.8 * np.stack(moving, 1) + 0.2 * other).astype("float32")


def pair(conv):
    return tuple(np.asarray(w, np.float64) for w in (conv.kernel, conv.bias))


def stages(body):
    return [[pair(conv) for conv in stage.convs] for stage in body]


def weights(cell):
    flow = cell.flow
    found = {
        "flow": flow and {"levels": flow.levels, "finest": flow.finest},
        "look": pair(cell.look),
        "gate": [pair(conv) for conv in cell.gate],
        "tail": pair(cell.tail),
        "retention": cell.retention,
    }
    if isinstance(cell, cells.MemoryCell):
        found["values"] = [pair(conv) for conv in cell.values]
        return found | {"head": pair(cell.head), "body": stages(cell.body)}
    return found | {
        "value": pair(cell.value),
        "fuse": pair(cell.fuse),
        "body": {
            "encoders": [stages(level) for level in cell.body.encoders],
            "decoders": [stages(level) for level in cell.body.decoders],
            "downs": [pair(conv) for conv in cell.body.downs],
            "ups": [pair(conv) for conv in cell.body.ups],
        },
    }


def by_hand(cell, frames, **settings):
    """A clip through the witness: `(restored, last state, largest flow)`."""
    unet = isinstance(cell, cells.MemoryUNet)
    step = witness_memory.memory_unet if unet else witness_memory.memory_cell
    seen, state, restored, largest = frames, None, [], 0.0
    if not unet:
        settings["channels"] = frames.shape[-1]
        seen = witness.windows(frames, cell.window)
    for t in range(frames.shape[1]):
        x = seen[:, t].astype("float64")
        out, state, flow = step(weights(cell), x, state, scale=cell.scale, **settings)
        restored.append(out)
        if t and flow is not None:
            largest = max(largest, np.abs(flow).max())
    frame, look, counts, memories = state
    flat = frame, look, np.concatenate(counts, -1), np.concatenate(memories, -1)
    return np.stack(restored, 1), flat, largest


CASES = [
    ("memory_unet", ALIGNED, (19, 21)),
    ("memory_unet", {"channels": 1, **COARSELY}, (12, 9)),
    ("memory_unet", {"scale": 2, **FREE}, (16, 9)),
    ("memory_unet", {"features": (4,), "blocks": (1,), **FREE}, (5, 6)),
    ("memory_unet", {"channels": 1, "retention": 0.5, **FREE}, (8, 8)),
    ("vresnet_memory", ALIGNED, (13, 18)),
    ("vresnet_memory", {"scale": 2, **FREE}, (5, 6)),
    ("vdncnn_memory_mf3", {"channels": 1, **COARSELY}, (11, 14)),
    ("vdncnn_memory", {"groups": 4, "retention": 0.5, **FREE}, (5, 6)),
]


@pytest.mark.parametrize("name, arguments, size", CASES)
def test_clips_against_numpy(name, arguments, size):
    model = build(name, **arguments)
    channels = arguments.get("channels", 3)
    frames = clip(3, *size, channels)
    wanted, wanted_state, largest = by_hand(model.cell, frames)
    if arguments["align"]:
        assert largest > 0.5  # something is warped
    restored, state = cells.unroll(model.cell, tf.constant(frames))
    scale = arguments.get("scale", 1)
    assert restored.shape == (2, 3, *(scale * n for n in size), channels)
    # Float32 through some twenty convolutions and three frames of warped memories.
    tolerance = 1e-4 * max(1, np.abs(wanted).max())
    np.testing.assert_allclose(restored, wanted, atol=tolerance)
    for a, b in zip(state, wanted_state, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4 * max(1, np.abs(b).max()))
    # The memory matters: without it the last frame is another.
    alone, _ = cells.unroll(model.cell, tf.constant(frames[:, -1:]))
    assert np.abs(alone[:, 0] - restored[:, -1]).max() > 10 * tolerance


def test_one_step_from_any_state_against_numpy():
    for name in ("memory_unet", "vresnet_memory"):
        model = build(name, **ALIGNED)
        frames, random = clip(2, 9, 8), np.random.default_rng(1)
        state = []
        for part in model.initial_state(frames[:, 0]):
            state.append(random.random(part.shape, dtype="float32"))
        state[0] = frames[:, 0]
        # Of one frame or more.
        state[2] = 1 + state[2]
        restored, after = model.cell(frames[:, 1], tuple(state))
        double = [x.astype("float64") for x in state]
        count = model.cell.memories
        split = [*double[:2], *(np.split(x, count, axis=-1) for x in double[2:])]
        unet = name == "memory_unet"
        step = witness_memory.memory_unet if unet else witness_memory.memory_cell
        wanted, left, flow = step(
            weights(model.cell), frames[:, 1].astype("float64"), split
        )
        assert np.abs(flow).max() > 0.5
        np.testing.assert_allclose(restored, wanted, atol=2e-4)
        for a, b in zip(after[2:], left[2:], strict=True):
            np.testing.assert_allclose(a, np.concatenate(b, -1), atol=2e-4)


@pytest.mark.parametrize("name", ["memory_unet", "vresnet_memory", "vdncnn_memory_mf3"])
def test_clip_and_steps_are_equal_bit_for_bit(name):
    model = build(name, **FREE)
    frames = clip(3)
    whole = model.predict(frames, verbose=0)
    state, found = model.initial_state(frames[:, 0]), []
    for t in range(3 + model.latency):
        out, state = model.step(frames[:, min(t, 2)], state)
        found.append(np.asarray(out))
    # The same operations on the same numbers.
    np.testing.assert_array_equal(np.stack(found[model.latency :], 1), whole)


def test_aligned_clip_and_steps_are_equal_bit_for_bit():
    model = build("memory_unet")
    frames = clip(2)
    whole = model.predict(frames, verbose=0)
    state = model.initial_state(frames[:, 0])
    for t in range(2):
        out, state = model.step(frames[:, t], state)
        np.testing.assert_array_equal(out, whole[:, t])


@pytest.mark.parametrize("name", ["memory_unet", "vdncnn_memory_mf3"])
def test_flows_ahead_are_those_of_frame_by_frame(name):
    model = build(name, **ALIGNED)
    frames = tf.constant(clip(3))
    state = model.cell.initial_state(frames[:, 0])
    (flows,) = model.cell.ahead(frames, state)
    before = state[0]
    for t in range(3):
        flow = model.cell.flow_between(before, frames[:, t])
        np.testing.assert_allclose(flows[:, t], flow, atol=1e-5)  # other batches
        before = frames[:, t]
    plain, ends = cells.unroll(model.cell, frames)
    ahead, other = cells.unroll(model.cell, frames, training=True)
    # Convolutions of a larger batch may sum in another order.
    np.testing.assert_allclose(ahead, plain, atol=1e-4)
    # The U-Net's training takes all frames of a clip at once.
    np.testing.assert_allclose(model(frames, training=True), plain, atol=1e-4)
    for a, b in zip(ends, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert build(name, **FREE).cell.ahead(frames, state) == ()


def test_means_of_frames_move_by_single_pixels():
    cell = build("memory_unet").cell
    frame = clip(1, 16, 32)[:, 0]
    means = space_to_depth(frame, 2)
    features = np.random.default_rng(0).random((2, 8, 16, 5), dtype="float32")
    flow = np.zeros((2, 16, 32, 2), "float32") + np.float32([3, -1])
    memory, other = cell.carried(
        flow, np.concatenate([means, features[..., :2]], -1), features
    )
    rows, columns = np.arange(16) - 1, np.arange(32) + 3
    moved = frame[:, rows.clip(0)][:, :, columns.clip(0, 31)]
    np.testing.assert_array_equal(depth_to_space(memory[..., :12], 2), moved)
    # The rest moves by half as many of its pixels.
    wanted = witness_flow.warp(features, flow[:, ::2, ::2] / 2, "border")
    np.testing.assert_allclose(other, wanted, atol=1e-6)
    np.testing.assert_allclose(memory[..., 12:], wanted[..., :2], atol=1e-6)


def test_the_flow_has_the_size_of_the_frames():
    before, frame = np.moveaxis(clip(2, 9, 18), 1, 0)
    cell = build("vresnet_memory", **ALIGNED).cell
    assert cell.flow_between(before, frame).shape == (2, 9, 18, 2)
    # Of frames padded to multiples of 16 pixels.
    unet = build("memory_unet", **COARSELY).cell
    assert unet.flow_between(before, frame).shape == (2, 16, 32, 2)
    assert (cell.flow.finest, unet.flow.finest) == (0, 1)


@pytest.mark.parametrize(
    "name, flow", [("memory_unet", FREE), ("vresnet_memory", ALIGNED)]
)
def test_the_state_is_float32_whatever_the_policy(name, flow):
    plain = build(name, **flow)
    half = models.build(name, **SMALL[name] | flow, dtype="mixed_bfloat16")
    half.set_weights(plain.get_weights())
    frames = clip(2)
    start = half.initial_state(frames[:, 0])
    size = (32, 32) if name == "memory_unet" else (19, 21)
    maps = [n // 2 for n in size] if name == "memory_unet" else size
    held = (3, *((2, 14) if name == "memory_unet" else (4, 8)))
    shapes = [(2, 19, 21, 3), *((2, *maps, n) for n in held)]
    restored, state = cells.unroll(half.cell, tf.constant(frames))
    for part, shape, begun in zip(state, shapes, start, strict=True):
        assert part.shape == begun.shape == shape
        assert part.dtype == begun.dtype == "float32"
        assert not np.asarray(begun).any()
    assert restored.dtype == "float32" and half.cell.look.compute_dtype == "bfloat16"
    # Frames are not rounded, and counters are means of gates: near, not equal.
    np.testing.assert_array_equal(state[0], frames[:, -1])
    _, wanted = cells.unroll(plain.cell, tf.constant(frames))
    # Eight bits, a few convolutions deep; a random flow moves a little too.
    for a, b in zip(state, wanted, strict=True):
        assert np.abs(a - b).mean() < 0.05 * max(1, np.abs(b).max())


# ------------------------------------------------------------------- stability


@pytest.mark.parametrize("name", ["memory_unet", "vresnet_memory"])
@pytest.mark.parametrize(
    "align, retention", [(None, 0.25), (None, 0.0), ("full", 0.98)]
)
def test_the_certificate_is_the_retention(name, align, retention):
    model = build(name, align=align, retention=retention)
    # No weight changes it.
    for variable in model.trainable_variables:
        variable.assign(100 * variable)
    found = diagnostics.certify(model)
    assert found.certified and found.contraction == retention
    assert found.norm == ("infinity" if align else "spectral") and found.matrix is None
    names = ["count", "memory 0", "memory 1"][: 1 + model.cell.memories]
    assert [bound.name for bound in found.loops] == names
    for bound in found.loops:
        assert (bound.gain, bound.factors, bound.worst) == (retention, (), None)
    path = (Warp(), Retention(retention)) if align else (Retention(retention),)
    for loop, each in zip(model.loops(), names, strict=True):
        assert loop == Loop(each, None, path, enters=False)
        assert loop.slices() == [] and loop.warped == bool(align)


@pytest.mark.parametrize(
    "name, retention", [("memory_unet", 0.98), ("vresnet_memory", 0.5)]
)
def test_states_contract_as_the_certificate_says(name, retention):
    model = build(name, **ALIGNED, retention=retention)
    cell, frames = model.cell, clip(5, 12, 10)
    # Gates wide open: the bound is reached, not only kept.
    cell.gate[-1].bias.assign(20 * np.ones(cell.gate[-1].bias.shape))
    random = np.random.default_rng(2)
    # As a state that has seen one frame: both have seen the same.
    _, start = cell(frames[:, 0], cell.initial_state(frames[:, 0]))
    full = np.full(start[2].shape, 1 / (1 - retention), "float32")
    a, b = (
        (*start[:2], full, random.normal(size=start[3].shape).astype("float32"))
        for _ in range(2)
    )
    width = cell.memory_features
    apart = lambda: np.abs(a[3] - b[3])[..., :width].max()  # noqa: E731
    moved = 0.0
    for t in range(1, 5):
        before = apart()
        flow = cell.flow_between(frames[:, t - 1], frames[:, t])
        moved = max(moved, np.abs(flow).max())
        (_, a), (_, b) = (cell(frames[:, t], state, flow) for state in (a, b))
        # Float32 differences of values up to 4.
        assert apart() <= retention * before + 1e-6
        # What no gate forgets shrinks by the warp alone, which averages.
        assert apart() > 0.3 * retention * before
    assert moved > 0.5


@pytest.mark.parametrize("name", ["memory_unet", "vresnet_memory"])
def test_what_a_state_held_is_forgotten(name):
    model = build(name, **FREE, retention=0.5)
    frames, random = clip(1, 8, 8)[:, 0], np.random.default_rng(3)
    a = model.initial_state(frames)
    # A state from elsewhere: every part of it.
    b = tuple(2 * random.random(x.shape, dtype="float32") for x in a)
    gaps = []
    for _ in range(40):
        (x, a), (y, b) = (model.step(frames, state) for state in (a, b))
        gaps.append(np.abs(x - y).max())
    # Memories within memories forget one after another: 0.5^40, times a polynomial.
    assert gaps[0] > 1e-3 and gaps[-1] < 1e-5
    for p, q in zip(a, b, strict=True):
        np.testing.assert_allclose(p, q, atol=1e-5)


@pytest.mark.parametrize("name", ["memory_unet", "vresnet_memory"])
def test_a_memory_never_exceeds_what_enters_it(name):
    cell = build(name, **ALIGNED if name == "memory_unet" else FREE).cell
    entered, updated = [[] for _ in range(cell.memories)], cell.updated

    def watched(index, value, recalled):
        entered[index].append(np.abs(value).max())
        return updated(index, value, recalled)

    cell.updated = watched
    _, state = cells.unroll(cell, tf.constant(clip(5, 8, 8)))
    memories = np.split(state[3], cell.memories, axis=-1)
    for largest, memory in zip(entered, memories, strict=True):
        assert len(largest) == 5
        assert 0 < np.abs(memory).max() <= max(largest) * (1 + 1e-6)
    # Counters: at most 1 / (1 - R) frames, here of five.
    assert 1 <= np.max(state[2]) <= 5


@pytest.mark.parametrize("name", ["memory_unet", "vresnet_memory", "vdncnn_memory"])
def test_dampening_is_refused_in_words(name):
    model = build(name, **FREE)
    with pytest.raises(ValueError, match=r"cannot be dampened: .*'count'.*gate"):
        dampened(model, 0.5)
    assert not can_dampen(model)


# ----------------------------------------------- constraints, training, saving


@pytest.mark.parametrize(
    "name, where",
    [
        ("vresnet_memory", "all"),
        ("vresnet_memory", "body"),
        ("vresnet_memory", "loop"),
        pytest.param("memory_unet", "all", marks=pytest.mark.large),
        pytest.param("memory_unet", "body", marks=pytest.mark.large),
        ("memory_unet", "loop"),
    ],
)
def test_constrained_trained_and_folded(name, where):
    small = SMALL[name] | FREE
    few = {"features": (4,), "blocks": (1,)} if "unet" in name else {"blocks": 1}
    small |= few
    model = models.build(name, **small, constraint=HELD[where])
    frames = clip(2, 8, 8)
    model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
    before = [arrays(v)[0].copy() for v in model.trainable_variables]
    loss = model.train_on_batch(frames, 1 - frames)
    assert np.isfinite(loss)
    moved = [
        not np.array_equal(v.numpy(), old)
        for v, old in zip(model.trainable_variables, before, strict=True)
    ]
    assert all(moved)
    twin = model.fold()
    kinds = {type(x) for x in twin._flatten_layers() if hasattr(x, "kernel")}
    assert kinds == {keras.layers.Conv2D}
    restored, folded = np.asarray(model(frames)), np.asarray(twin(frames))
    assert np.isfinite(folded).all()
    # Norms of maps of 8x8 pixels are some percent below those for every size.
    assert np.corrcoef(restored.ravel(), folded.ravel())[0, 1] > 0.95
    if where == "all":
        for conv in (values(twin.cell)[0], twin.cell.look, *twin.cell.gate):
            assert witness.norm(conv.kernel.numpy().astype("float64"), 8) <= 2.0
    if where == "loop":
        # Nothing on a loop can be held, and nothing needs to be.
        assert twin is model
    assert diagnostics.certify(model).contraction == 0.98


def test_every_weight_of_an_aligned_network_is_trained():
    for name in ("memory_unet", "vresnet_memory"):
        model = build(name, **ALIGNED)
        frames = clip(2, 17, 9)
        model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
        before = model.get_weights()
        model.train_on_batch(frames, 1 - frames)
        for path, old, new in zip(
            [v.path for v in model.variables], before, model.get_weights(), strict=True
        ):
            assert np.isfinite(new).all()
            assert not np.array_equal(old, new), path


@pytest.mark.parametrize(
    "name, arguments", [("memory_unet", FREE), ("vresnet_memory", ALIGNED)]
)
def test_it_is_saved_and_loaded(tmp_path, name, arguments):
    model = build(name, **arguments)
    frames = clip(2, 9, 8)
    wanted = np.asarray(model(frames))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded(frames), wanted)
    model.save_weights(tmp_path / "model.weights.h5")
    other = build(name, 1, **arguments)
    assert np.abs(other(frames) - wanted).max() > 1e-3
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(frames), wanted)


def test_weights_lie_where_files_have_them():
    # Trained weights are files: these names are for good.
    unet = build("memory_unet").cell
    assert not unet.flow.variables
    parts = (unet.look, *unet.gate, unet.value, unet.fuse, unet.body, unet.tail)
    variables = [v for part in parts for v in part.variables]
    # An optimiser's state, too, is in this order.
    assert [v.path for v in unet.variables] == [v.path for v in variables]


@pytest.mark.parametrize(
    "kind, arguments",
    [
        (cells.MemoryUNet, SMALL["memory_unet"]),
        (cells.MemoryCell, {"features": 4, "stages": 2, "backbone": "vdncnn"}),
    ],
)
def test_configurations(kind, arguments):
    held = {"constraint": HELD["all"], "retention": 0.9, "scale": 2, "channels": 1}
    given = {"groups": 2, "gate_features": 3} | ALIGNED
    cell = kind(**arguments | given | held)
    twin = kind.from_config(cell.get_config())
    assert twin.get_config() == cell.get_config()
    assert (twin.retention, twin.groups, twin.gate_features) == (0.9, 2, 3)
    assert twin.align == "full" and twin.flow.finest == 0
    assert kind(**arguments | given | COARSELY).get_config()["align"] == "half"


def test_untrained_it_gives_means_of_its_frames():
    model = models.build("memory_unet", **SMALL["memory_unet"] | FREE)
    tail = model.cell.tail.kernel
    # The last layer starts near zero: normal, of variance 1e-4 / fan_in, truncated at
    # two deviations of the normal before it is truncated (0.88 of it remain).
    assert (
        0 < np.abs(tail).max() <= 2.001 * 0.01 / 0.8796 / np.prod(tail.shape[:3]) ** 0.5
    )
    # A gate without an edge to see keeps what it may.
    for variable in (model.cell.look.kernel, model.cell.gate[-1].kernel, tail):
        variable.assign(0 * variable)
    frames = clip(2, 7, 9)
    kept = 0.98 / (1 + np.exp(-2.0))
    weight = kept / (1 + kept)
    # Little of the frame is mixed in.
    weight *= 1 - 1 / (1 + np.exp(2.0))
    second = weight * frames[:, 0] + (1 - weight) * frames[:, 1]
    for found in (model(frames), model(frames, training=True)):
        # A few roundings of float32 numbers up to 1.
        np.testing.assert_allclose(found[:, 0], frames[:, 0], atol=1e-6)
        np.testing.assert_allclose(found[:, 1], second, atol=1e-6)


def test_a_noise_map_and_frame_numbers():
    name = "vdncnn_memory_mf3"
    model = build(name, **ALIGNED, noise_map=True, frame_number=4)
    told = models.at_noise_level(model, 30)
    frames = clip(2, 6, 7)
    level = np.full((*frames.shape[:-1], 1), 30 / 255, "float32")
    whole = np.asarray(model(np.concatenate([frames, level], -1)))
    np.testing.assert_allclose(told(frames), whole, atol=1e-6)
    # In training, flows are of pictures alone.
    ahead = model(np.concatenate([frames, level], -1), training=True)
    np.testing.assert_allclose(ahead, whole, atol=1e-4)


def test_few_features_have_as_many_groups():
    assert models.build("vresnet_memory", features=4, blocks=1).cell.groups == 4
    assert models.build("vresnet_memory", features=16, blocks=1).cell.groups == 8


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("vresnet_memory", {"retention": 1}, "retention must be at least 0 and below"),
        ("vresnet_memory", {"retention": -0.1}, "retention must be"),
        ("vresnet_memory", {"retention": float("nan")}, "retention must be"),
        ("vresnet_memory", {"features": 12}, "`groups=8` does not divide the 12"),
        ("vresnet_memory", {"groups": 0}, "groups must be a positive"),
        ("vresnet_memory", {"groups": 2.0}, "groups must be a positive"),
        ("vresnet_memory", {"gate_features": 0}, "gate_features must be a positive"),
        ("vresnet_memory", {"align": "quarter"}, "'full', 'half', or None.*'quarter'"),
        ("vresnet_memory", {"align": 0}, "align is the size at which.*Received: 0"),
        ("memory_unet", {"align": True}, "align is the size at which"),
        ("memory_unet", {"align": ["full"]}, "align is the size at which"),
        ("vresnet_feat", {"retention": 0.9}, r"does not take \['retention'\]"),
        ("vdncnn_memory", {"blocks": 2}, r"does not take \['blocks'\].*retention"),
        ("memory_unet", {"retention": 1.0}, "retention must be"),
        ("memory_unet", {"groups": 5}, "`groups=5` does not divide the 64"),
        ("memory_unet", {"features": (8, 8)}, "one number for each resolution"),
        ("memory_unet", {"features": (), "blocks": ()}, "one number for each"),
        ("memory_unet", {"features": (8,) * 5, "blocks": (1,) * 5}, "one number for"),
        ("memory_unet", {"features": (8, 0, 8)}, "features must be a positive"),
        ("memory_unet", {"blocks": (1, 0, 1)}, "blocks must be a positive"),
        ("memory_unet", {"memory_features": 0}, "memory_features must be a positive"),
        ("memory_unet", {"memory_features": 8}, r"above 4 \* channels"),
        ("memory_unet", {"gate_features": 1.5}, "gate_features must be a positive"),
        ("memory_unet", {"window": 3}, r"does not take \['window'\]"),
    ],
)
def test_wrong_arguments(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        models.build(name, **arguments)
