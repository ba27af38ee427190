"""Deblurring models: streaming, files, half precision, constraints, batch norm.

Tested: steps equal to the whole clip at a size that no stride divides; `.keras` after
training; bfloat16; SRN-C on every convolution, folded and adopted; that the statistics
of batch normalisation move once a frame, the same in a graph's time loop, and are lost
neither in a file nor by folding.
Not tested: the equations (tests/cells).
"""

import keras
import numpy as np
import pytest
from streamed import streamed

from stablevid_tf import models, numerics
from stablevid_tf.cells import windows
from stablevid_tf.constraints import SRNC, effective_kernels
from stablevid_tf.models.restorer import convs

SMALL = {
    "ifi_rnn": {"features": 4, "blocks": 1},
    "strcnn": {"features": 4, "blocks": 1},
    "rdbn": {"features": 6, "blocks": 2},
    "gru": {"features": 4},
    "lstm": {"features": 4},
}
EVERY = [
    "ifi_rnn_rirn",
    "strcnn",
    "rdbn",
    *(
        pytest.param(name, marks=pytest.mark.large)
        for name in ("gru_atb", "lstm_rirn", "strcnn_irm_irm")
    ),
]


def build(name, **arguments):
    base = "ifi_rnn" if name.startswith("ifi") else name.split("_")[0]
    keras.utils.set_random_seed(0)
    return models.build(name, **SMALL[base], **arguments)


def clip(length=3, height=8, width=8):
    shape = (2, length, height, width, 3)
    return np.random.default_rng(0).random(shape, dtype="float32")


def fit(model, frames):
    model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
    history = model.fit(frames, 1 - frames, batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("name", EVERY)
def test_trained_saved_and_streamed(name, tmp_path):
    model = build(name)
    fit(model, clip())
    frames = clip(4, 13, 18)
    whole = model.predict(frames, verbose=0)
    assert whole.shape == frames.shape
    # The same float32 operations, in other graphs.
    np.testing.assert_allclose(streamed(model, frames), whole, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.predict(frames, verbose=0), whole)


@pytest.mark.parametrize("name", EVERY)
def test_half_precision(name):
    model = build(name, dtype="mixed_bfloat16")
    frames = clip(2, 5, 6)
    restored = model.predict(frames, verbose=0)
    assert restored.dtype == "float32" and np.isfinite(restored).all()
    full = build(name)
    full.set_weights(model.get_weights())
    truth = full.predict(frames, verbose=0)
    # bfloat16 has eight bits, some twenty convolutions deep.
    assert 0 < np.abs(restored - truth).max() < 0.05 * max(np.abs(truth).max(), 1)


@pytest.mark.parametrize(
    "name",
    [
        "strcnn",
        *(
            pytest.param(name, marks=pytest.mark.large)
            for name in ("ifi_rnn_rirn", "rdbn", "gru_atb", "lstm_rirn")
        ),
    ],
)
def test_srnc_everywhere(name):
    # Narrow: a 1x1 kernel of 4 channels has no stable rank below 1/4.
    model = build(name, constraint=SRNC(2.0, 0.3, frame_size=8))
    fit(model, clip())
    twin = model.fold()
    assert {
        type(x).__name__ for x in twin._flatten_layers() if hasattr(x, "kernel")
    } <= {"Conv2D", "Conv2DTranspose"}
    held = effective_kernels(model.network)
    pairs = zip(convs(model.network), convs(twin.network), strict=True)
    for kernel, plain in ((held[a].numpy(), b) for a, b in pairs if a in held):
        folded = plain.kernel.numpy()
        # The same kernel, smaller: in training norms are those at 8 pixels.
        shrunk = (folded * kernel).sum() / (kernel * kernel).sum()
        assert 0.5 < shrunk <= 1.01
        np.testing.assert_allclose(
            folded, shrunk * kernel, atol=0.05 * np.abs(kernel).max()
        )
        assert numerics.conv_norm_bound(folded, plain.strides) <= 2 * (1 + 1e-5)
    frames = clip(3)
    model.adopt(twin)
    np.testing.assert_array_equal(model(frames).numpy(), twin(frames).numpy())


def statistics(model):
    stage = model.cell.body[0]
    return [
        x.numpy()
        for norm in (stage.norm1, stage.norm2)
        for x in (norm.moving_mean, norm.moving_variance)
    ]


def test_statistics_move_once_a_frame_in_a_time_loop_too():
    # More frames than are unrolled: a while loop in the graph.
    frames = clip(18)
    looped, eager = build("strcnn"), build("strcnn")
    eager.set_weights(looped.get_weights())
    before = statistics(looped)
    looped.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=False)
    looped.fit(frames, frames, batch_size=2, verbose=0)
    seen, state = windows(frames, 5), eager.cell.initial_state(frames[:, 0])
    updates = []
    for t in range(18):
        old = statistics(eager)[0]
        _, state = in_training(eager, seen[:, t], state)
        updates.append(np.abs(statistics(eager)[0] - old).max())
    assert min(updates) > 0
    for a, b, old in zip(statistics(looped), statistics(eager), before, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)  # float32
        assert np.abs(a - old).max() > 1e-3


class InTraining(keras.layers.Layer):
    """Calls a cell as a model in training does."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def call(self, frames, state, training=False):
        return self.cell(frames, state)


def in_training(model, frames, state):
    return InTraining(model.cell)(frames, state, training=True)


def test_inference_leaves_the_statistics_alone():
    model = build("strcnn")
    before = statistics(model)
    model.predict(clip(), verbose=0)
    model(clip())
    for a, b in zip(before, statistics(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batch_norm_survives_folding_and_files(tmp_path):
    model = build("strcnn", constraint=SRNC(2.0, 0.3, frame_size=8))
    random = np.random.default_rng(1)
    for stage in model.cell.body:
        for variable in (*stage.norm1.variables, *stage.norm2.variables):
            variable.assign(0.5 + random.random(variable.shape))
    twin = model.fold()
    for mine, other in zip(statistics(model), statistics(twin), strict=True):
        np.testing.assert_array_equal(mine, other)
    np.testing.assert_array_equal(
        model.cell.body[0].norm1.gamma, twin.cell.body[0].norm1.gamma
    )
    fresh = build("strcnn", constraint=SRNC(2.0, 0.3, frame_size=8))
    fresh.adopt(twin)
    np.testing.assert_array_equal(fresh(clip()), twin(clip()))
    model.save_weights(tmp_path / "model.weights.h5")
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(fresh(clip()), model(clip()))
