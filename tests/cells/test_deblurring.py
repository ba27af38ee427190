"""The deblurring networks and RIRN's add-ons, recomputed in NumPy float64.

Tested: every block; clips of two and three frames through each of the five networks,
IFI-RNN with IRM and ATB and with both swaps; sizes that the strides do not divide;
that add-ons nest around any cell that names its parts, and refuse others.
Not tested: loops and certificates (test_deblurring_loops.py), models as a whole
(tests/models/test_deblurring_models.py), full widths (only their parameter counts).
"""

import keras
import numpy as np
import pytest
import witness
import witness_deblur as by_hand

from stablevid_tf import cells, layers, models

SMALL = {
    "ifi_rnn": {"features": 2, "blocks": 2},
    "strcnn": {"features": 3, "blocks": 2},
    "rdbn": {"features": 2, "blocks": 2},
    "gru": {"features": 2},
    "lstm": {"features": 2},
}


def build(name, **arguments):
    small = SMALL[name.split("_")[0].replace("ifi", "ifi_rnn")]
    model = models.build(name, **small, **arguments)
    fill(model)
    return model


def fill(layer):
    """Random weights that all matter, statistics of batch normalisation too."""
    random = np.random.default_rng(0)
    for variable in layer.variables:
        fan_in = np.prod(variable.shape[:-1])
        value = random.normal(size=variable.shape) / fan_in**0.5
        if "moving_variance" in variable.path:
            value = 0.5 + random.random(variable.shape)
        variable.assign(value)


def clip(length=3, height=6, width=9):
    shape = (2, length, height, width, 3)
    return np.random.default_rng(1).random(shape, dtype="float32")


def maps(channels, seed=2):
    random = np.random.default_rng(seed)
    return random.normal(size=(2, 5, 4, channels)).astype("float32")


def pair(conv):
    return conv.kernel.numpy(), conv.bias.numpy()


def block(stage):
    return pair(stage.conv1), pair(stage.conv2)


def dense(stage):
    return [pair(conv) for conv in stage.dense], pair(stage.fuse)


def norm(layer):
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return [getattr(layer, name).numpy() for name in names]


def normalised(stage):
    return (
        pair(stage.conv1),
        norm(stage.norm1),
        pair(stage.conv2),
        norm(stage.norm2),
    )


def weights(cell):
    """A cell's weights, as the witness takes them."""
    name = type(cell).__name__
    if name == "STRCNN":
        found = {k: pair(getattr(cell, k)) for k in ("conv1", "conv2", "to_hidden")}
        body = [normalised(stage) for stage in cell.body]
        return found | {"body": body, "up": pair(cell.up), "tail": pair(cell.tail)}
    found = {
        "up": [pair(conv) for conv in cell.to_frame[:2]],
        "tail": pair(cell.to_frame[2]),
    }
    if name == "RDBN":
        first, *rest = cell.encoder
        found["encoder"] = [pair(first)]
        for dense_block, conv in zip(rest[::2], rest[1::2], strict=True):
            found["encoder"] += [dense(dense_block), pair(conv)]
        found["body"] = [dense(stage) for stage in cell.body]
        found["fuse1"], found["fuse3"] = (pair(conv) for conv in cell.gather)
        first, middle, last = cell.to_hidden
        return found | {"to_hidden": [pair(first), dense(middle), pair(last)]}
    found["encoder"] = [pair(conv) for conv in cell.encoder]
    if name in ("GRU", "LSTM"):
        found["gates"] = pair(cell.gates)
    if name == "GRU":
        found["candidate"] = pair(cell.candidate)
    if name == "IFIRNN":
        found["body"] = [block(stage) for stage in cell.body]
    if name != "LSTM":
        first, middle, last = cell.to_hidden
        found["to_hidden"] = [pair(first), block(middle), pair(last)]
    return found


def add_on_weights(cell):
    if isinstance(cell, cells.IRM):
        return {
            "convs": [pair(conv) for conv in cell.convs],
            "block1": block(cell.block1),
            "narrow": pair(cell.narrow),
            "block2": block(cell.block2),
        }
    return {
        "both": pair(cell.both),
        "of_new": [pair(conv) for conv in cell.of_new],
        "of_previous": [pair(conv) for conv in cell.of_previous],
    }


def join(cell, new, previous):
    function = by_hand.irm if isinstance(cell, cells.IRM) else by_hand.atb
    return function(add_on_weights(cell), new, previous)


def close(found, truth):
    # float32 through some twenty convolutions, against float64.
    np.testing.assert_allclose(found, truth, atol=2e-5 * np.abs(truth).max())


def zeros(frames, stride, channels):
    batch, _, height, width, _ = frames.shape
    return np.zeros((batch, -(-height // stride), -(-width // stride), channels))


# ------------------------------------------------------------------------- blocks


def test_residual_dense_stage():
    convs = [keras.layers.Conv2D(2, 3, padding="same") for _ in range(3)]
    stage = layers.ResidualDenseStage(convs, keras.layers.Conv2D(4, 1))
    x = maps(4)
    stage(x)
    fill(stage)
    close(stage(x), by_hand.dense(x, *dense(stage)))


def test_batch_norm_stage_in_inference_and_training():
    convs = [keras.layers.Conv2D(4, 3, padding="same") for _ in range(2)]
    stage = layers.BatchNormStage(*convs)
    x = maps(4)
    stage(x)
    fill(stage)
    first, norm1, second, norm2 = normalised(stage)
    close(stage(x), by_hand.normalised(x, first, norm1, second, norm2))
    # In training: the batch's own mean and variance, and the stored ones move.
    inside = witness.conv(x, *first)
    mean, variance = inside.mean((0, 1, 2)), inside.var((0, 1, 2))
    own1 = [*norm1[:2], mean, variance]
    after = witness.relu(by_hand.batch_norm(inside, *own1))
    inner = witness.conv(after, *second)
    own2 = [*norm2[:2], inner.mean((0, 1, 2)), inner.var((0, 1, 2))]
    truth = by_hand.normalised(x, first, own1, second, own2)
    close(stage(x, training=True), truth)
    close(stage.norm1.moving_mean, 0.99 * norm1[2] + 0.01 * mean)
    close(stage.norm1.moving_variance, 0.99 * norm1[3] + 0.01 * variance)


@pytest.mark.parametrize("add_on", [cells.IRM, cells.ATB])
@pytest.mark.parametrize("on", ["hidden", "features"])
def test_add_ons(add_on, on):
    cell = add_on(cells.IFIRNN(features=2, blocks=1), on=on)
    cell.build_by_call()
    fill(cell)
    width = {"hidden": 2, "features": 8}[on]
    new, previous = maps(width), maps(width, seed=3)
    close(cell.join(new, previous), join(cell, new, previous))


# ----------------------------------------------------------------------- networks


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("name", ["ifi_rnn", "gru", "rdbn"])
def test_networks_of_one_state(name, skip):
    model = build(name, skip=skip)
    frames, w = clip(), weights(model.cell)
    hidden, truth = zeros(frames, 4, 2), []
    for t in range(3):
        features, hidden = getattr(by_hand, name)(w, frames[:, t], hidden)
        truth.append(by_hand.decode(w, features, frames[:, t]))
    truth = np.stack(truth, 1)
    truth += frames if skip else 0.5 if name == "rdbn" else 0
    close(model(frames), truth)
    assert np.abs(truth[:, 1] - truth[:, 2]).max() > 1e-3


def test_lstm():
    model = build("lstm")
    frames, w = clip(), weights(model.cell)
    hidden = memory = zeros(frames, 4, 2)
    truth = []
    for t in range(3):
        features, hidden, memory = by_hand.lstm(w, frames[:, t], hidden, memory)
        truth.append(by_hand.decode(w, features, frames[:, t]))
    close(model(frames), np.stack(truth, 1))


@pytest.mark.parametrize("skip", [False, True])
def test_strcnn(skip):
    model = build("strcnn", skip=skip)
    frames, w = clip(5), weights(model.cell)
    seen = witness.windows(frames, 5)
    hidden, truth = zeros(frames, 2, 3), []
    for t in range(5):
        features, hidden = by_hand.strcnn(w, seen[:, t], hidden)
        truth.append(by_hand.strcnn_frame(w, features, frames[:, t]))
    # The frame that is added is the middle one of the five.
    close(model(frames), np.stack(truth, 1) + (frames if skip else 0))


@pytest.mark.parametrize("name", SMALL)
def test_untrained_with_a_skip_it_gives_its_frame_back(name):
    model = models.build(name, **SMALL[name], skip=True)
    frames = clip(5)
    # Half a level of 255; without a skip it is some tenths.
    np.testing.assert_allclose(model(frames), frames, atol=0.5 / 255)
    assert np.any(model(frames) != frames)


@pytest.mark.parametrize("name", ["rirn", "atb_atb", "irm_irm"])
def test_ifi_rnn_in_its_add_ons(name):
    model = build(f"ifi_rnn_{name}", skip=True)
    outer = model.cell
    inner = outer.cell
    assert (inner.on, outer.on) == ("hidden", "features")
    kinds = {"rirn": ("IRM", "ATB"), "atb_atb": ("ATB",) * 2, "irm_irm": ("IRM",) * 2}
    assert (type(inner).__name__, type(outer).__name__) == kinds[name]
    frames, w = clip(), weights(inner.cell)
    fed_back, remembered, truth = zeros(frames, 4, 2), zeros(frames, 4, 8), []
    for t in range(3):
        features, hidden = by_hand.ifi_rnn(w, frames[:, t], fed_back)
        # The refined state is what the network sees at the next frame.
        fed_back = join(inner, hidden, fed_back)
        remembered = join(outer, features, remembered)
        truth.append(by_hand.decode(w, remembered, frames[:, t]))
    close(model(frames), np.stack(truth, 1) + frames)
    hidden, (memory, previous) = last_state(model, frames)
    close(hidden, fed_back)
    close(previous, remembered)
    assert memory == ()


def last_state(model, frames):
    return cells.unroll(model.cell, keras.ops.convert_to_tensor(frames))[1]


# ---------------------------------------------------------------------- the contract


class Own(cells.DeblurringCell):
    """A cell that is none of ours: no padding, two channels of memory."""

    hidden_channels, features_channels = 3, 5

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inside = keras.layers.Conv2D(10, 3, padding="same")
        self.tail = keras.layers.Conv2D(3, 3, padding="same")

    def initial_state(self, frame):
        return self.zeros(frame, 3), (self.zeros(frame, 2),)

    def propagate(self, frames, state):
        hidden, (memory,) = state
        x = self.inside(keras.ops.concatenate([frames, hidden, memory], axis=-1))
        return x[..., :5], (x[..., 5:8], (x[..., 8:],))

    def decode(self, features, frames):
        return self.tail(features) + frames


def test_any_cell_that_names_its_parts():
    # Deep, and twice the same.
    cell = cells.ATB(cells.ATB(cells.IRM(cells.IRM(Own()))))
    model = models.RecurrentRestorer(cell)
    model.build()
    fill(model)
    frames = clip(2)
    once, both = cell.cell, cell.cell.cell
    w = pair(both.cell.cell.inside)
    hidden, memory = zeros(frames, 1, 3), zeros(frames, 1, 2)
    first = second = zeros(frames, 1, 5)
    truth = []
    for t in range(2):
        seen = np.concatenate([frames[:, t], hidden, memory], -1)
        x = witness.conv(seen, *w)
        memory = x[..., 8:]
        hidden = join(both, join(both.cell, x[..., 5:8], hidden), hidden)
        first = join(once, x[..., :5], first)
        second = join(cell, first, second)
        tail = pair(both.cell.cell.tail)
        truth.append(witness.conv(second, *tail) + frames[:, t])
    close(model(frames), np.stack(truth, 1))


def test_a_cell_without_the_parts_is_refused():
    with pytest.raises(ValueError, match=r"IRM wraps.*FeatCell.*propagate.*decode"):
        cells.IRM(cells.FeatCell(features=4))

    class Half(Own):
        propagate = cells.DeblurringCell.propagate
        features_channels = None

    with pytest.raises(ValueError, match="Of Half it misses") as error:
        cells.ATB(Half())
    assert "propagate(frames, state)" in str(error.value)
    assert "features_channels" in str(error.value)
    assert "decode(" not in str(error.value)
    with pytest.raises(ValueError, match="on must be one of"):
        cells.ATB(Own(), on="output")
    with pytest.raises(NotImplementedError, match="hidden_path"):
        cells.IRM(Own()).loops()


@pytest.mark.parametrize("size", [(1, 1), (4, 8), (5, 3)])
def test_sizes_are_given_back(size):
    frames = clip(2, *size)
    assert build("strcnn").predict(frames, verbose=0).shape == frames.shape
    assert build("lstm").predict(frames, verbose=0).shape == frames.shape


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("rdbn", {"features": 3}, "features must be even"),
        ("ifi_rnn", {"blocks": 0}, "blocks must be a positive"),
        ("gru", {"features": 0}, "features must be a positive"),
        ("lstm_irm", {"blocks": 2}, r"does not take \['blocks'\]"),
    ],
)
def test_wrong_arguments(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        models.build(name, **arguments)
