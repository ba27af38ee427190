"""WDVR in 2D and 3D, recomputed in NumPy float64.

Tested: every block design, the networks at scale 1, 2 and 4, both edges and ends; the
counts of the paper's table 2; clips of a bounded length against the whole video, below
and above the reach; steps; folding; what is refused.
Not tested: accuracy after training.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import witness
import witness_feedforward as feedforward

from stablevid_tf import cells, models, streaming
from stablevid_tf.constraints import SRNC

DESIGNS = ("iai", "ias", "stas", "tsas")
SMALL = {"features": 3, "blocks": 2, "activations": 5}
# Table 2's widths, and parameters a block without gains.
BLOCKS = {"iai": 72_650, "ias": 73_824, "stas": 74_128, "tsas": 73_530}


def build(name, **arguments):
    model = models.build(name, **SMALL | arguments)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        scale = 1.0 / np.prod(variable.shape[:-1]) ** 0.5
        variable.assign(scale * random.normal(size=variable.shape))
    return model


def pair(layer):
    gain = getattr(layer, "gain", None)
    kernel = layer.kernel.numpy().astype("float64")
    if gain is not None:
        kernel = feedforward.weight_norm(kernel, gain.numpy())
    return kernel, layer.bias.numpy()


def weights(network):
    ends = {n: pair(getattr(network, n)) for n in ("head", "tail", "skip")}
    return ends | {"body": [[pair(c) for c in b.convs] for b in network.body]}


def clip(length=4, height=5, width=6, batch=1):
    shape = (batch, length, height, width, 3)
    return np.random.default_rng(1).random(shape, dtype="float32")


def close(found, truth):
    # float32 through nine convolutions, against float64.
    np.testing.assert_allclose(found, truth, atol=2e-5 * np.abs(truth).max())


@pytest.mark.parametrize("window, scale", [(1, 1), (3, 4), (5, 2), (7, 1)])
def test_wdvr2d_against_numpy(window, scale):
    model = build("wdvr2d", window=window, scale=scale, clip_length=3)
    frames = clip()
    seen = witness.windows(frames, window)
    truth = [
        feedforward.wdvr(seen[:, t], weights(model.cell), scale, witness.conv)
        for t in range(4)
    ]
    found = model.predict(frames, verbose=0)
    assert found.shape == (1, 4, 5 * scale, 6 * scale, 3)
    close(found, np.stack(truth, 1))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("edges, inflated, scale", [("repeat", 0, 2), ("zeros", 1, 1)])
def test_wdvr3d_against_numpy(design, edges, inflated, scale):
    model = build(
        f"wdvr3d_{design}", edges=edges, inflated_ends=bool(inflated), scale=scale
    )
    frames = clip()
    conv = lambda *args: feedforward.conv3d(*args, edges=edges)  # noqa: E731
    truth = feedforward.wdvr(frames, weights(model.network), scale, conv)
    close(np.array(model(frames)), truth)
    # Each block by itself too: an error inside one cannot hide behind the skip.
    x = np.random.default_rng(2).normal(size=(1, 4, 5, 6, 3)).astype("float32")
    block = model.network.body[0]
    alone = feedforward.wide(x, [pair(c) for c in block.convs], 0.5**0.5, conv)
    close(np.array(block(x)), alone)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_pixel_shuffle_of_the_tail(scale):
    for name in ("wdvr2d", "wdvr3d_tsas"):
        model = build(name, scale=scale)
        for variable in model.variables:
            variable.assign(keras.ops.zeros_like(variable))
        model.network.tail.conv.bias.assign(np.arange(3.0 * scale**2))
        found = np.array(model(clip(1)))[0, 0] - 0.5
        for row, column, channel in np.ndindex(scale, scale, 3):
            part = found[row::scale, column::scale, channel]
            # Small integers and a half: exact.
            assert (part == (row * scale + column) * 3 + channel).all()


@pytest.mark.parametrize("design, count", BLOCKS.items())
def test_parameters_of_a_block(design, count):
    network = models.build(f"wdvr3d_{design}", blocks=1).network
    convs = network.body[0].convs
    assert sum(c.conv.count_params() for c in convs) == count
    assert sum(c.gain.shape[0] for c in convs) == sum(c.conv.filters for c in convs)
    ratio = [np.prod(c.conv.kernel_size) * c.conv.kernel.shape[3] for c in convs]
    in_time = [c.conv.kernel_size[0] > 1 for c in convs]
    sizes = [r * c.conv.filters for r, c in zip(ratio, convs, strict=True)]
    share = sum(s for s, t in zip(sizes, in_time, strict=True) if t) / sum(sizes)
    assert (
        round(share, 2) == {"iai": 1, "ias": 0.75, "stas": 0.31, "tsas": 0.04}[design]
    )


def test_parameters_without_gains():
    model = models.build("wdvr2d")
    gains = 32 + 16 * (128 + 32) + 2 * 48
    assert gains == 2688
    assert model.count_params() - gains == 1_218_480
    block = model.cell.body[0]
    assert sum(c.conv.count_params() for c in block.convs) == 73_888
    assert models.build("wdvr2d", weight_norm=False).count_params() == 1_218_480
    ends = 9 * 3 * 32 + 32 + 9 * 32 * 48 + 48 + 125 * 3 * 48 + 48
    plain = models.build("wdvr3d_tsas", weight_norm=False)
    assert plain.count_params() == 16 * BLOCKS["tsas"] + ends


@pytest.mark.parametrize("name", [f"wdvr3d_{d}" for d in DESIGNS])
@pytest.mark.parametrize("inflated", [False, True])
def test_clips_equal_the_whole_video_from_the_reach_on(name, inflated):
    arguments = {"scale": 1, "inflated_ends": inflated, "clip_length": 3}
    whole = build(name, **arguments | {"clip_length": 99})
    reach = whole.network.reach
    assert reach == {"iai": 4}.get(name[7:], 2) + 2 * inflated
    frames = clip(4 * reach + 5, 3, 3)
    truth = np.array(whole(frames))
    same = build(name, temporal_padding=reach, **arguments)
    # The same sums; other sizes may take another kernel of the framework's.
    close(np.array(same(frames)), truth)
    less = build(name, temporal_padding=reach - 1, **arguments)
    assert np.abs(np.array(less(frames)) - truth).max() > 1e-5
    # In training the clip is one.
    np.testing.assert_array_equal(less(frames, training=True), truth)


def test_clips_of_unknown_length():
    model = build("wdvr3d_stas", scale=1, clip_length=2, temporal_padding=2)
    inputs = keras.Input((None, None, None, 3))
    traced = keras.Model(inputs, model(inputs))
    run = tf.function(
        lambda x: traced(x, training=False),
        input_signature=[tf.TensorSpec((None, None, None, None, 3))],
    )
    for length in (1, 3, 6, 11):
        frames = clip(length, 4, 3)
        close(run(frames), np.array(model(frames)))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_steps_and_streams_are_the_whole_clip(length):
    model = build("wdvr2d", scale=2, clip_length=3)
    frames = clip(length)
    assert model.latency == 2
    streamed = np.stack(list(streaming.restore(model, frames[0])))
    close(model.predict(frames, verbose=0)[0], streamed)
    # In training all frames are together: the same numbers.
    close(np.array(model.cell.restore(frames, training=True))[0], streamed)


@pytest.mark.parametrize("name", ["wdvr2d", "wdvr3d_iai"])
def test_folding_gives_plain_convolutions_and_adopting_takes_them(name):
    model, frames = build(name, scale=2), clip()
    folded = model.fold()
    y = model.predict(frames, verbose=0)
    np.testing.assert_allclose(folded.predict(frames, verbose=0), y, atol=1e-5)
    gains = sum(c.gain.shape[0] for b in model.network.body for c in b.convs)
    gains += 3 + 12 + 12
    assert model.count_params() - folded.count_params() == gains
    assert folded.fold() is folded
    other = models.build(name, **SMALL, scale=2)
    other.adopt(folded)
    np.testing.assert_allclose(other.predict(frames, verbose=0), y, atol=1e-5)


def test_trains_and_is_saved_in_bfloat16(tmp_path):
    model = build("wdvr3d_tsas", scale=2, dtype="mixed_bfloat16")
    full = build("wdvr3d_tsas", scale=2)
    frames = clip(batch=2)
    truth = full.predict(frames, verbose=0)
    found = model.predict(frames, verbose=0)
    assert found.dtype == "float32"
    # bfloat16 has eight bits; nine convolutions deep.
    np.testing.assert_allclose(found, truth, atol=0.05 * np.abs(truth).max())
    model.compile("adam", "mae", run_eagerly=True)
    losses = model.fit(frames, 0.5 * truth, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(frames, verbose=0), model.predict(frames, verbose=0)
    )


def test_a_constraint_takes_weight_normalisation_s_place():
    constraint = SRNC(1.0, where="body", frame_size=8)
    model, frames = build("wdvr2d", scale=1, constraint=constraint), clip()
    assert hasattr(model.cell.head, "gain")
    assert not hasattr(model.cell.body[0].after, "gain")
    folded = model.fold()
    assert not hasattr(folded.cell.head, "gain")
    y = model.predict(frames, verbose=0)
    # Certified norms are some percent above the estimate on 8 pixels.
    assert np.abs(folded.predict(frames, verbose=0) - y).max() < 0.2 * np.abs(y).max()


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("wdvr2d", {"window": 9}, "1, 3, 5 or 7 frames.*9"),
        ("wdvr2d", {"window": 4}, "odd number"),
        ("wdvr2d", {"scale": 3}, "scale 1, 2 or 4.*3"),
        ("wdvr2d", {"clip_length": 0}, "clip_length must be a positive"),
        ("wdvr2d", {"activations": 0}, "activations must be a positive"),
        ("wdvr2d", {"edges": "zeros"}, r"does not take \['edges'\]"),
        ("wdvr3d_iai", {"design": "ias"}, r"does not take \['design'\]"),
        ("wdvr3d_iai", {"scale": 8}, "scale 1, 2 or 4.*8"),
        ("wdvr3d_iai", {"edges": "mirror"}, "edges must be one of.*mirror"),
        ("wdvr3d_iai", {"temporal_padding": -1}, "temporal_padding must be 0"),
        ("wdvr3d_iai", {"constraint": SRNC(1.0)}, r"does not take \['constraint'\]"),
        ("wdvr2d", {"frame_number": 9}, r"does not take \['frame_number'\]"),
    ],
)
def test_refused(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        models.build(name, **arguments)


def test_the_network_itself_refuses_a_constraint():
    with pytest.raises(ValueError, match="no constraint holds its 3D"):
        cells.WDVR3D(constraint=SRNC(1.0))
