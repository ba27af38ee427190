"""SRNCConv2D: norm and stable rank, folding, state.

Tested: norm and stable rank of the effective kernel against the SVD of the explicit
matrix, cold, and after steps in which the kernel moves; the certified norm of fold();
that inference and measuring change nothing; saving and going on; adopting; float32
numerics under a bfloat16 policy; wrong arguments.
Not tested: 64 channels and 64-pixel maps (the benchmarks do those).
"""

import keras
import numpy as np
import pytest
import witness

from stablevid_tf import numerics
from stablevid_tf.layers import SRNCConv2D

SIZE = 10
# Where beta binds: below the stable rank of random kernels of these shapes.
SETTINGS = [
    (2.0, 0.1, (8, 8)),
    (0.5, 0.2, (8, 8)),
    (3.0, 0.05, (8, 8)),
    (1.0, 0.2, (8, 4)),
    (1.0, 0.2, (4, 8)),
]


def build(cin, cout, alpha=1.0, beta=1.0, taps=3, frame_size=SIZE, seed=0, **kwargs):
    layer = SRNCConv2D(
        cout,
        taps,
        alpha=alpha,
        beta=beta,
        frame_size=frame_size,
        kernel_initializer=keras.initializers.RandomNormal(seed=seed),
        **kwargs,
    )
    layer.build((None, None, None, cin))
    return layer


def effective(layer):
    return keras.ops.convert_to_numpy(layer.effective_kernel())


def state(model):
    return [keras.ops.convert_to_numpy(v).copy() for v in model.weights]


def assert_same(before, after):
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_holds(layer, alpha, beta):
    kernel, args = effective(layer), (SIZE, layer.strides, layer.padding)
    # The bars: 1 % for the norm, 3 % for the stable rank.
    assert witness.norm(kernel, *args) == pytest.approx(alpha, rel=0.01)
    if beta < 1:
        rank = witness.stable_rank(kernel, *args)
        assert rank == pytest.approx(beta, rel=0.03)


@pytest.mark.parametrize("alpha, beta, channels", SETTINGS)
def test_cold(alpha, beta, channels):
    layer = build(*channels, alpha=alpha, beta=beta)
    assert witness.stable_rank(layer.kernel.numpy(), SIZE) > beta
    assert_holds(layer, alpha, beta)


@pytest.mark.parametrize("seed", range(4))
def test_cold_with_near_degenerate_values(seed):
    # More seeds for the case where the projected form alone overshoots by 3 to 13 %.
    layer = build(6, 6, beta=0.1, seed=seed)
    assert_holds(layer, 1.0, 0.1)


@pytest.mark.parametrize(
    "taps, strides, padding",
    [(1, 1, "same"), (5, 1, "same"), (3, 2, "same"), (3, 1, "valid"), (2, 2, "valid")],
)
@pytest.mark.parametrize("channels", [(3, 6), (6, 3)])
def test_cold_other_geometry(taps, strides, padding, channels):
    layer = build(*channels, alpha=1.5, taps=taps, strides=strides, padding=padding)
    assert_holds(layer, 1.5, 1.0)


def test_cold_with_stride_and_beta():
    layer = build(6, 6, beta=0.3, taps=3, strides=2)
    rank = witness.stable_rank(layer.kernel.numpy(), SIZE, 2)
    assert rank > 0.3
    assert_holds(layer, 1.0, 0.3)


def test_beta_that_does_not_bind_only_scales():
    layer = build(8, 8, alpha=2.0, beta=0.9)
    kernel = layer.kernel.numpy()
    assert witness.stable_rank(kernel, SIZE) < 0.9
    ratio = effective(layer) / kernel
    # One factor for all entries, to float32.
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-5)


@pytest.mark.parametrize("alpha, beta, channels", SETTINGS[:1] + SETTINGS[3:])
def test_warm_while_the_kernel_moves(random, alpha, beta, channels):
    layer = build(*channels, alpha=alpha, beta=beta)
    cin, cout = channels
    model = keras.Sequential([keras.Input((SIZE, SIZE, cin)), layer])
    model.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=False)
    x = random.normal(size=(80, SIZE, SIZE, cin)).astype("float32")
    y = random.normal(size=(80, SIZE, SIZE, cout)).astype("float32")
    before = layer.kernel.numpy()
    model.fit(x, y, batch_size=2, verbose=0)
    moved = np.linalg.norm(layer.kernel.numpy() - before) / np.linalg.norm(before)
    assert moved > 0.1
    assert_holds(layer, alpha, beta)


def test_warm_tracking_is_tight(random):
    # A slowly moving kernel and no optimiser: only the vectors are looked at.
    layer = build(8, 8, beta=0.1)
    x = random.normal(size=(1, SIZE, SIZE, 8)).astype("float32")
    for _ in range(60):
        layer(x, training=True)
        layer.kernel.assign_add(1e-4 * random.normal(size=layer.kernel.shape))
    assert_holds(layer, 1.0, 0.1)


def test_a_kernel_replaced_while_warm_stays_bounded(random):
    # Weights may be set by hand at any time; the norm may not run away.
    layer = build(8, 8)
    layer(random.normal(size=(1, SIZE, SIZE, 8)).astype("float32"), training=True)
    layer.kernel.assign(random.normal(size=layer.kernel.shape))
    # One iteration from old vectors cannot be exact, but must not multiply the norm.
    assert witness.norm(effective(layer), SIZE) < 1.6


def test_the_call_convolves_with_the_effective_kernel(random):
    layer = build(
        4, 6, alpha=2.0, beta=0.3, strides=2, activation="relu", bias_initializer="ones"
    )
    x = random.normal(size=(2, 9, 8, 4)).astype("float32")
    truth = witness.relu(witness.conv(x, effective(layer), np.ones(6), 2))
    # Float32 sums of 36 products.
    np.testing.assert_allclose(layer(x), truth, atol=2e-5)
    # In training too: the kernel of the vectors as they stood before the step.
    layer(x, training=True)
    kernel = effective(layer)
    np.testing.assert_allclose(
        layer(x, training=True),
        witness.relu(witness.conv(x, kernel, np.ones(6), 2)),
        atol=2e-5,
    )


@pytest.mark.parametrize("warm", [False, True])
def test_inference_and_measuring_change_nothing(random, warm):
    layer = build(6, 6, beta=0.2)
    model = keras.Sequential([keras.Input((None, None, 6)), layer])
    model.compile("sgd", "mse", jit_compile=False)
    x = random.normal(size=(2, 7, 9, 6)).astype("float32")
    if warm:
        layer(x, training=True)
    before = state(model)
    layer(x)
    layer(x, training=False)
    model.predict(x, verbose=0)
    model.evaluate(x, x, verbose=0)
    layer.effective_kernel()
    layer.folded_kernel()
    layer.fold()
    numerics.conv_norm_bound(effective(layer))
    assert_same(before, state(model))


def test_training_moves_the_vectors(random):
    layer = build(6, 6)
    x = random.normal(size=(1, 8, 8, 6)).astype("float32")
    before = layer.u.numpy().copy()
    layer(x, training=True)
    assert np.abs(layer.u.numpy() - before).max() > 1e-3
    assert float(layer.warm) == 1
    for vector in (layer.u, layer.v):
        # Unit maps in float32.
        assert np.linalg.norm(np.array(vector)) == pytest.approx(1, abs=1e-5)
        assert not vector.trainable


@pytest.mark.parametrize("alpha", [0.5, 2.0])
@pytest.mark.parametrize("beta", [1.0, 0.2])
@pytest.mark.parametrize("decomposition", ["projected", "gradient"])
def test_folded_norm_is_at_most_alpha_at_every_size(alpha, beta, decomposition):
    layer = build(4, 6, alpha=alpha, beta=beta, decomposition=decomposition)
    plain = layer.fold()
    assert type(plain) is keras.layers.Conv2D
    kernel = plain.kernel.numpy()
    assert numerics.conv_norm_bound(kernel) <= alpha
    for size, padding in ((4, "same"), (7, "valid"), (12, "same")):
        # No tolerance: it is a guarantee.
        assert witness.norm(kernel, size, padding=padding) <= alpha


def test_folding_with_strides():
    layer = build(4, 6, alpha=1.0, strides=2, padding="valid")
    plain = layer.fold()
    assert plain.strides == (2, 2)
    assert plain.padding == "valid"
    for size in (5, 8, 12):
        kernel = plain.kernel.numpy()
        assert witness.norm(kernel, size, 2, "valid") <= 1.0


def test_a_folded_layer_is_the_layer(random):
    layer = build(
        8, 8, alpha=2.0, beta=0.1, frame_size=16, activation="relu", name="kept"
    )
    layer.bias.assign(random.normal(size=8))
    plain = layer.fold()
    assert plain.name == "kept"
    x = random.normal(size=(1, 12, 12, 8)).astype("float32")
    ratio = plain.kernel.numpy() / effective(layer)
    # Only scaled down, by a little: the supremum lies above the norm at 16 pixels.
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)
    assert 0.9 < ratio.flat[0] <= 1
    truth = witness.relu(witness.conv(x, plain.kernel, layer.bias))
    np.testing.assert_allclose(plain(x), truth, atol=2e-5)  # float32
    twin = keras.layers.Conv2D.from_config(plain.get_config())
    assert twin.filters == 8


def test_adopting_a_folded_kernel(random):
    layer = build(6, 6, alpha=1.0, beta=0.2)
    x = random.normal(size=(1, 8, 8, 6)).astype("float32")
    layer(x, training=True)
    folded = layer.fold()
    layer.adopt(folded.kernel)
    # Exactly: nothing is computed in between.
    np.testing.assert_array_equal(effective(layer), folded.kernel)
    np.testing.assert_array_equal(layer(x), folded(x))
    # Folding once more must not shrink it further.
    np.testing.assert_array_equal(layer.fold().kernel, folded.kernel)
    # Training goes on, constrained.
    layer(x, training=True)
    layer.kernel.assign_add(0.001 * random.normal(size=layer.kernel.shape))
    layer(x, training=True)
    assert_holds(layer, 1.0, 0.2)


def test_folding_certifies_whatever_was_adopted(random):
    layer = build(4, 4)
    layer.adopt(layer.fold().kernel)
    layer.kernel.assign(10 * layer.kernel.numpy())
    # A guarantee does not rest on what others did to the weights.
    assert numerics.conv_norm_bound(layer.fold().kernel.numpy()) <= 1.0


def model_of(beta=0.2):
    keras.utils.set_random_seed(0)
    layer = SRNCConv2D(6, 3, alpha=2.0, beta=beta, frame_size=SIZE)
    model = keras.Sequential([keras.Input((None, None, 6)), layer])
    model.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=False)
    return model


@pytest.mark.parametrize("how", ["keras", "weights.h5"])
def test_training_goes_on_identically_after_saving(random, tmp_path, how):
    x = random.normal(size=(8, SIZE, SIZE, 6)).astype("float32")
    fit = {"batch_size": 2, "shuffle": False, "verbose": 0}
    model = model_of()
    model.fit(x, x[..., ::-1], **fit)
    path = tmp_path / f"model.{how}"
    if how == "keras":
        model.save(path)
        loaded = keras.models.load_model(path)
    else:
        model.save_weights(path)
        loaded = model_of()
        loaded.optimizer.build(loaded.trainable_variables)
        loaded.load_weights(path)
    # The vectors and the warm flag are among the weights.
    assert len(loaded.weights) == 6
    assert_same(state(model), state(loaded))
    assert float(loaded.layers[0].warm) == 1
    for one in (model, loaded):
        one.fit(x, x[..., ::-1], **fit)
    assert_same(state(model), state(loaded))


def test_numerics_stay_float32_under_bfloat16(random):
    full, half = (
        build(8, 8, alpha=2.0, beta=0.1, dtype=dtype)
        for dtype in ("float32", "mixed_bfloat16")
    )
    x = random.normal(size=(2, SIZE, SIZE, 8)).astype("float32")
    for _ in range(3):
        for layer in (full, half):
            y = layer(x, training=True)
    assert str(y.dtype).endswith("bfloat16'>") or "bfloat16" in str(y.dtype)
    assert half.effective_kernel().dtype == "float32"
    assert {v.dtype for v in half.variables} == {"float32"}
    # Bit-equal: the policy touches none of it.
    np.testing.assert_array_equal(effective(half), effective(full))
    assert_holds(half, 2.0, 0.1)
    # Within a compiled call as well, where Keras casts variables.
    model = keras.Sequential([keras.Input((SIZE, SIZE, 8)), half])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(x, x, verbose=0)
    assert_holds(half, 2.0, 0.1)


def test_printed_form_is_available(random):
    printed = build(8, 8, beta=0.1, decomposition="gradient")
    assert witness.norm(effective(printed), SIZE) > 1.5


def test_gradient_reaches_the_kernel_with_its_scale_divided_out(random):
    # The effective kernel does not depend on the kernel's length, so the gradient is
    # orthogonal to the kernel.
    import tensorflow as tf

    layer = build(4, 4, beta=0.3)
    x = random.normal(size=(1, SIZE, SIZE, 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(layer(x, training=True) ** 2)
    slope = np.array(tape.gradient(loss, layer.kernel.value))
    kernel = layer.kernel.numpy()
    cosine = (slope * kernel).sum() / np.linalg.norm(slope) / np.linalg.norm(kernel)
    assert np.linalg.norm(slope) > 0
    assert abs(cosine) < 1e-4  # float32


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"alpha": 0}, "alpha"),
        ({"alpha": -1.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"alpha": float("inf")}, "alpha"),
        ({"beta": 0.0}, r"\(0, 1\]"),
        ({"beta": 1.5}, r"\(0, 1\]"),
        ({"decomposition": "printed"}, "projected"),
        ({"power_iterations": 0}, "power_iterations must be a positive integer"),
        ({"power_iterations": 1.5}, "power_iterations must be a positive integer"),
        ({"padding": "causal"}, "'same' or 'valid'"),
        ({"filters": 0}, "positive integer"),
        ({"kernel_size": 0}, "positive integer"),
        ({"kernel_size": (3, 3, 3)}, "spatial axis"),
        ({"strides": 0}, "positive integer"),
        ({"frame_size": 0}, "frame_size"),
        ({"frame_size": 8.5}, "frame_size"),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        SRNCConv2D(**{"filters": 8, "kernel_size": 3} | arguments)


def test_beta_out_of_reach_says_what_to_do():
    layer = SRNCConv2D(8, 3, beta=0.01)
    with pytest.raises(ValueError, match=r"beta at least 0\.01389.*beta=0\.01"):
        layer.build((None, None, None, 8))
    # Fewer input than output channels: the smaller counts.
    with pytest.raises(ValueError, match="more channels"):
        SRNCConv2D(64, 3, beta=0.03).build((None, None, None, 3))


def test_unknown_channels_and_wrong_rank():
    with pytest.raises(ValueError, match="input channels must be known"):
        SRNCConv2D(8, 3).build((None, None, None, None))
    layer = build(8, 8)
    with pytest.raises(ValueError, match="axis -1"):
        layer(np.zeros((1, 8, 8, 4), "float32"))
    with pytest.raises(ValueError, match="ndim=4"):
        layer(np.zeros((8, 8, 8), "float32"))
