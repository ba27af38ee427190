"""Models: whole clips, steps, any size, Functional and subclassed use, training.

Tested: step by step equal to the whole clip (windows, latency, flush); short and long
clips; any height and width from one model; Functional and subclassed models; input
checks; bfloat16; one epoch of `fit`, and in what order it takes a dataset's batches;
overfitting one clip; SavedModel of one step.
Not tested: the cells' equations (tests/cells), saving (test_saving.py).
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from streamed import streamed

from stablevid_tf import backend, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.losses import Charbonnier

SMALL = {"vdncnn": {"features": 4, "depth": 2}, "vresnet": {"features": 4, "blocks": 2}}


def build(name, **arguments):
    """A small model with kernels and biases that all matter."""
    keras.utils.set_random_seed(0)
    model = models.build(name, **SMALL[name.split("_")[0]] | arguments)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        scale = 0.7 / np.prod(variable.shape[:-1]) ** 0.5
        variable.assign(scale * random.normal(size=variable.shape))
    return model


def large(*arguments):
    return pytest.param(*arguments, marks=pytest.mark.large)


def clip(length=5, height=8, width=10, channels=3, batch=2, seed=0):
    shape = (batch, length, height, width, channels)
    return np.random.default_rng(seed).random(shape, dtype="float32")


CAUSAL = [
    (f"{backbone}_{recurrence}{window}", scale)
    for backbone, recurrence, window, scale in [
        ("vresnet", "single", "", 1),
        ("vresnet", "single", "_mf7", 2),
        ("vdncnn", "frame", "", 2),
        ("vresnet", "frame", "_mf3", 1),
        ("vdncnn", "feat", "_mf3", 1),
        ("vresnet", "feat", "", 4),
        ("vresnet", "feat", "_mf7", 1),
        ("vresnet", "rlsp", "_mf3", 2),
        ("vdncnn", "rlsp", "", 1),
        ("vresnet", "shift", "", 1),
        ("vdncnn", "shift", "_mf3", 2),
    ]
]


@pytest.mark.parametrize("name, scale", CAUSAL)
def test_step_by_step_is_the_whole_clip(name, scale):
    model = build(name, scale=scale)
    assert model.latency == model.window // 2
    for length in (1, 2, 6):
        frames = clip(length)
        whole = model.predict(frames, verbose=0)
        assert whole.shape == (2, length, 8 * scale, 10 * scale, 3)
        # The same float32 operations; windows change no sum.
        np.testing.assert_allclose(streamed(model, frames), whole, atol=1e-5)


@pytest.mark.parametrize("where", ["loop", large("all"), large("body")])
def test_steps_of_constrained_models(where):
    constraint = SRNC(0.9, where=where, frame_size=8)
    model = build("vresnet_feat_mf3", constraint=constraint, blocks=1)
    frames = clip()
    whole = model.predict(frames, verbose=0)
    np.testing.assert_allclose(streamed(model, frames), whole, atol=1e-5)


def test_clips_of_more_frames_than_are_unrolled():
    model = build("vresnet_feat")
    frames = clip(20)
    looped = model.predict(frames, verbose=0)
    np.testing.assert_allclose(streamed(model, frames), looped, atol=1e-5)
    # Causal: its beginning does not depend on what follows.
    unrolled = model.predict(frames[:, :16], verbose=0)
    np.testing.assert_allclose(looped[:, :16], unrolled, atol=1e-5)


def test_gradients_of_the_loop_are_those_of_the_unrolled_clip():
    model = build("vresnet_rlsp")
    frames = clip(17)
    slopes = []
    for length in (16, 17):
        # The loss sees 16 frames either way; 17 run in a while loop.
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(frames[:, :length])[:, :16] ** 2)
        slopes.append(tape.gradient(loss, [v.value for v in model.trainable_variables]))
    for a, b in zip(*slopes, strict=True):
        # Float32 gradients through 16 frames.
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max() + 1e-7)


def test_bidirectional_depends_on_both_sides():
    model = build("vresnet_birlsp")
    frames = clip(5)
    whole = model.predict(frames, verbose=0)
    for changed, looked_at in ((0, 4), (4, 0)):
        other = frames.copy()
        other[:, changed] = 1 - other[:, changed]
        new = model.predict(other, verbose=0)
        assert np.abs(new[:, looked_at] - whole[:, looked_at]).max() > 1e-6
    long = clip(18)
    # Twice the same function, looped and (reversed in time) swapped trunks.
    assert model.predict(long, verbose=0).shape == long.shape
    assert not hasattr(model, "step")


def test_bidirectional_loop_equals_eager_unrolled():
    model = build("vdncnn_birlsp", scale=2)
    frames = clip(17)
    from stablevid_tf.backend import tensorflow as backend

    looped = np.array(model(frames))
    before, backend._UNROLL = backend._UNROLL, 17
    try:
        unrolled = np.array(model(frames))
    finally:
        backend._UNROLL = before
    np.testing.assert_allclose(looped, unrolled, atol=1e-5)


@pytest.mark.parametrize("name", ["vresnet_feat_mf3", "vdncnn_frame", "vresnet_birlsp"])
def test_one_model_takes_any_size_and_length(name):
    model = build(name, scale=2)
    for length, height, width in ((1, 3, 5), (4, 16, 9), (2, 1, 1), (18, 4, 6)):
        frames = clip(length, height, width)
        found = model.predict(frames, verbose=0)
        assert found.shape == (2, length, 2 * height, 2 * width, 3)
        assert found.dtype == "float32"
        assert np.isfinite(found).all()
        if hasattr(model, "step"):
            np.testing.assert_allclose(streamed(model, frames), found, atol=1e-5)


def test_state_is_explicit_and_starts_at_zero():
    model = build("vresnet_feat")
    frames = clip()
    state = model.initial_state(frames[:, 0])
    assert [tuple(s.shape) for s in state] == [(2, 8, 10, 4)] * 2
    assert all((np.array(s) == 0).all() for s in state)
    out1, new = model.step(frames[:, 0], state)
    out2, _ = model.step(frames[:, 0], state)
    # The given state is not changed: the same call, bit for bit.
    np.testing.assert_array_equal(out1, out2)
    assert keras.tree.map_structure(lambda x: 0, new) == keras.tree.map_structure(
        lambda x: 0, state
    )
    # Two clips interleaved through one model do not disturb one another.
    a, b = clip(seed=1), clip(seed=2)
    alone = streamed(model, a)
    state_a, state_b = model.initial_state(a[:, 0]), model.initial_state(b[:, 0])
    for t in range(5):
        out, state_a = model.step(a[:, t], state_a)
        _, state_b = model.step(b[:, t], state_b)
        np.testing.assert_allclose(out, alone[:, t], atol=1e-6)


def test_clips_in_a_batch_do_not_mix():
    model = build("vdncnn_frame_mf3")
    frames = clip(4, batch=3)
    whole = model.predict(frames, verbose=0)
    for i in range(3):
        one = model.predict(frames[i : i + 1], verbose=0)
        np.testing.assert_allclose(one[0], whole[i], atol=1e-5)


@pytest.mark.parametrize("name", ["vresnet_feat_mf3", "vdncnn_birlsp"])
def test_inside_a_functional_model(name):
    model = build(name, scale=2)
    inputs = keras.Input((None, None, None, 3))
    half = keras.layers.Rescaling(0.5)(inputs)
    whole = keras.Model(inputs, model(half))
    assert whole.output_shape == (None, None, None, None, 3)
    for frames in (clip(3), clip(2, 5, 7)):
        np.testing.assert_allclose(
            whole.predict(frames, verbose=0),
            model.predict(0.5 * frames, verbose=0),
            atol=1e-5,
        )
    fixed = keras.Model(fixed := keras.Input((3, 8, 10, 3)), model(fixed))
    assert fixed.output_shape == (None, 3, 16, 20, 3)


def test_functional_output_type_is_the_true_one():
    model = build("vresnet_feat", dtype="mixed_bfloat16")
    symbol = model(keras.Input((None, None, None, 3)))
    assert keras.backend.standardize_dtype(symbol.dtype) == "float32"
    assert model(clip()).dtype == "float32"


def test_inside_a_subclassed_model():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            constraint = SRNC(1.0, where="body", frame_size=8)
            self.first = build("vresnet_feat", blocks=1, constraint=constraint)
            self.second = build("vresnet_rlsp", blocks=1)

        def call(self, frames, training=False):
            return self.second(self.first(frames, training=training))

    model = Twice()
    model.compile("adam", "mse", jit_compile=False)
    frames = clip()
    warm = model.first.cell.body[0].conv1.warm
    model.predict(frames, verbose=0)
    assert float(warm) == 0
    model.fit(frames, frames, verbose=0)
    # Training reached the constrained layers inside.
    assert float(warm) == 1
    assert len(model.trainable_variables) == 2 * len(model.second.trainable_variables)


@pytest.mark.parametrize(
    "frames, words",
    [
        (np.zeros((2, 8, 8, 3), "float32"), r"Received.*shape \(2, 8, 8, 3\)"),
        (np.zeros((1, 2, 8, 8, 1), "float32"), "with 3 channels"),
        (np.zeros((1, 2, 8, 8, 3), "uint8"), "float32"),
        (np.zeros((1, 0, 8, 8, 3), "float32"), "frame"),
    ],
)
def test_wrong_clips(frames, words):
    for name in ("vresnet_feat", "vresnet_birlsp"):
        with pytest.raises(ValueError, match=words):
            build(name)(frames)


@pytest.mark.parametrize(
    "frame, words",
    [
        (np.zeros((8, 8, 3), "float32"), r"Received.*shape \(8, 8, 3\)"),
        (np.zeros((1, 8, 8, 4), "float32"), "with 3 channels"),
        (np.zeros((1, 8, 8, 3), "uint8"), "float32"),
    ],
)
def test_wrong_frames(frame, words):
    model = build("vresnet_feat")
    with pytest.raises(ValueError, match=words):
        model.initial_state(frame)
    state = model.initial_state(np.zeros((1, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match=words):
        model.step(frame, state)


def test_grey():
    model = build("vresnet_feat", channels=1, scale=2)
    frames = clip(channels=1)
    whole = model.predict(frames, verbose=0)
    assert whole.shape == (2, 5, 16, 20, 1)
    np.testing.assert_allclose(streamed(model, frames), whole, atol=1e-5)


@pytest.mark.parametrize("where", [None, large("loop"), large("all")])
def test_bfloat16_policy(where):
    constraint = where and SRNC(0.9, where=where, frame_size=8)
    full = build("vresnet_feat_mf3", constraint=constraint)
    half = build("vresnet_feat_mf3", constraint=constraint, dtype="mixed_bfloat16")
    half.set_weights(full.get_weights())
    assert {v.dtype for v in half.variables} == {"float32"}
    frames = clip(6)
    truth = full.predict(frames, verbose=0)
    found = half.predict(frames, verbose=0)
    assert found.dtype == "float32"
    # bfloat16 keeps eight bits; six frames and five convolutions deep.
    np.testing.assert_allclose(found, truth, atol=0.05)
    assert np.abs(found - truth).max() > 0
    np.testing.assert_allclose(streamed(half, frames), found, atol=0.02)
    half.compile(keras.optimizers.Adam(1e-3), Charbonnier(), jit_compile=False)
    losses = half.fit(frames, frames, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    long = clip(18)
    assert np.isfinite(half.predict(long, verbose=0)).all()


@pytest.mark.parametrize(
    "name, where",
    [
        ("vresnet_feat", None),
        ("vresnet_feat", "all"),
        ("vresnet_feat", "loop"),
        ("vdncnn_rlsp_mf3", "body"),
        large("vresnet_birlsp", "loop"),
    ],
)
def test_an_epoch_decreases_the_loss(name, where):
    constraint = where and SRNC(0.9, where=where, frame_size=8)
    model = build(name, constraint=constraint)
    random = np.random.default_rng(0)
    clean = np.repeat(random.random((16, 1, 8, 8, 3), dtype="float32"), 3, 1)
    noisy = clean + 0.1 * random.normal(size=clean.shape).astype("float32")
    model.compile(keras.optimizers.Adam(3e-3), Charbonnier(), jit_compile=False)
    before = model.evaluate(noisy, clean, verbose=0)
    model.fit(noisy, clean, batch_size=4, epochs=2, verbose=0)
    assert model.evaluate(noisy, clean, verbose=0) < 0.97 * before


class Numbered(keras.utils.PyDataset):
    """Batches that say which they are: epoch + index / 8 everywhere."""

    epoch = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        batch = np.full((1, 2, 4, 4, 3), self.epoch + index / 8, "float32")
        return batch, batch

    def on_epoch_end(self):
        self.epoch += 1


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_takes_a_dataset_as_keras_does(shuffle, named):
    seen = []

    class Watch(models.RecurrentRestorer):
        def train_step(self, data):
            seen.append(float(data[0][0, 0, 0, 0, 0]))
            return {"loss": 0.0}

    model = Watch(build("vresnet_feat").cell)
    model.compile("sgd", "mse", run_eagerly=True)
    clips = Numbered()
    # Keras' own first look at the data ends an epoch: -1.
    clips.epoch = -1
    if named:
        history = model.fit(
            x=clips, epochs=2, shuffle=shuffle, verbose=0, validation_data=Numbered()
        )
    else:
        history = model.fit(clips, None, None, 2, 0, None, 0.0, Numbered(), shuffle)
    assert len(history.history["val_loss"]) == 2
    epochs = [seen[:4], seen[4:]]
    wanted = [[epoch + index / 8 for index in range(4)] for epoch in range(2)]
    assert list(map(sorted, epochs)) == wanted
    if not shuffle:
        assert epochs == wanted


def test_no_thread_tunes_the_reading_of_data():
    dataset = backend.fed(Numbered()).get_tf_dataset()
    assert dataset.options().autotune.enabled is False
    assert len(list(dataset)) == 4


def test_it_can_overfit_one_clip():
    keras.utils.set_random_seed(0)
    model = models.build("vresnet_feat", features=16, blocks=2)
    random = np.random.default_rng(0)
    clean = random.random((1, 2, 6, 6, 3), dtype="float32")
    noisy = clean + 0.1 * random.normal(size=clean.shape).astype("float32")
    model.compile(keras.optimizers.Adam(5e-3), "mse", jit_compile=False)
    # The one clip 150 times: 150 steps.
    model.fit(noisy.repeat(150, 0), clean.repeat(150, 0), batch_size=1, verbose=0)
    # Noise of variance 0.01 learnt by heart.
    assert model.evaluate(noisy, clean, verbose=0) < 0.003


@pytest.mark.parametrize("skip", [True, False])
def test_skip(skip):
    model = build("vresnet_feat_mf3", skip=skip, scale=2)
    for variable in model.variables:
        variable.assign(keras.ops.zeros_like(variable))
    frames = clip()
    found = model.predict(frames, verbose=0)
    # Zero weights: nearest-neighbour enlargement of the centre frame, or nothing.
    truth = frames.repeat(2, 2).repeat(2, 3) * skip
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("name", ["vresnet_feat", "vresnet_feat_mf3"])
def test_one_step_as_a_saved_model(tmp_path, name):
    model = build(name, constraint=SRNC(0.9, where="loop", frame_size=8)).fold()
    frames = clip(4)
    state = model.initial_state(frames[:, 0])
    spec = tf.TensorSpec((None, None, None, 3), tf.float32)
    maps = keras.tree.map_structure(
        lambda s: tf.TensorSpec(
            (None,) * (s.shape.rank - 1) + tuple(s.shape[-1:]) if s.shape.rank else (),
            s.dtype,
        ),
        state,
    )
    module = tf.Module()
    module.model = model
    module.step = tf.function(model._step, input_signature=[spec, maps])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    ours = model.initial_state(frames[:, 0])
    for t in range(4):
        theirs, state = loaded.step(frames[:, t], state)
        mine, ours = model.step(frames[:, t], ours)
        # The same graph operations.
        np.testing.assert_allclose(theirs, mine, atol=1e-6)
