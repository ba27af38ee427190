"""The one check that every public layer and cell passes.

Configuration round trip, symbolic call equal to eager call, `.keras` save and load,
mixed precision, one `fit` step.
"""

import json

import keras
import numpy as np

from stablevid_tf.layers import BatchNormStage


def randomise(layer, seed=0):
    """Small random values for all trainable weights (biases too)."""
    random = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        scale = 0.5 / np.sqrt(max(np.prod(variable.shape[:-1]), 1))
        variable.assign(scale * random.normal(size=variable.shape))


def arrays(nest):
    return [keras.ops.convert_to_numpy(x) for x in keras.tree.flatten(nest)]


def close(a, b, tolerance):
    a, b = arrays(a), arrays(b)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(
            x.astype("float64"), y.astype("float64"), atol=tolerance, rtol=tolerance
        )


def functional(layer, args):
    """A Functional model of one layer whose inputs have no fixed sizes."""
    symbolic = keras.tree.map_structure(
        lambda x: keras.Input((*[None] * (x.ndim - 2), x.shape[-1]), dtype="float32"),
        tuple(args),
    )
    outputs = layer(*symbolic)
    return keras.Model(keras.tree.flatten(symbolic), keras.tree.flatten(outputs))


def check_layer(make, args, folder):
    """Run the whole check.

    Args:
        make: ``make(**kwargs)`` gives a fresh layer.
        args: positional arguments of its call: nests of float32 NumPy arrays.
        folder: a `pathlib.Path` to write to.
    """
    inputs = keras.tree.flatten(tuple(args))
    layer = make(name="checked")
    eager = layer(*args)
    randomise(layer)
    eager = layer(*args)
    assert all(np.isfinite(x).all() for x in arrays(eager))
    assert np.abs(arrays(eager)[0]).max() > 0

    # Configuration: plain data, twice the same, and the caller's dict left alone.
    config = layer.get_config()
    kept = json.dumps(config, sort_keys=True)
    for _ in range(2):
        twin = type(layer).from_config(config)
        assert json.dumps(twin.get_config(), sort_keys=True) == kept
        assert json.dumps(config, sort_keys=True) == kept

    # Symbolic = eager, in shapes, types and values.
    model = functional(layer, args)
    graph = model.predict_on_batch(inputs)
    close(graph, eager, 1e-5)  # float32, other order of sums
    for symbol, value in zip(model.outputs, arrays(eager), strict=True):
        assert keras.backend.standardize_dtype(symbol.dtype) == str(value.dtype)
        known = zip(symbol.shape, value.shape, strict=True)
        assert all(s in (None, n) for s, n in known)

    # Save and load: the same numbers.
    model.save(folder / "checked.keras")
    loaded = keras.models.load_model(folder / "checked.keras")
    for x, y in zip(
        arrays(model.predict_on_batch(inputs)),
        arrays(loaded.predict_on_batch(inputs)),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)

    # Mixed precision: weights stay float32, outputs come near.
    half = make(name="checked", dtype="mixed_bfloat16")
    half(*args)
    half.set_weights(layer.get_weights())
    assert {v.dtype for v in half.variables} <= {"float32"}
    # bfloat16 has eight bits: 0.4 % a product, a few products deep.
    close(half(*args), eager, 0.05)
    mixed = functional(half, args)
    for symbol, value in zip(mixed.outputs, half_outputs(half, args), strict=True):
        assert keras.backend.standardize_dtype(symbol.dtype) == value

    # One step of `fit` moves every trainable weight, and stays finite.
    for trained in (model, mixed):
        before = [arrays(v)[0].copy() for v in trained.trainable_variables]
        # Adam: in deep networks plain steps vanish below a weight's last digit.
        trained.compile(
            keras.optimizers.Adam(0.1, epsilon=1e-16), "mse", jit_compile=False
        )
        targets = [np.zeros(x.shape, "float32") for x in arrays(eager)]
        history = trained.fit(inputs, targets, batch_size=len(inputs[0]), verbose=0)
        assert np.isfinite(history.history["loss"][0])
        still = subtracted_biases(trained)
        for variable, old in zip(trained.trainable_variables, before, strict=True):
            new = arrays(variable)[0]
            assert np.isfinite(new).all()
            moved = not np.array_equal(new, old)
            assert moved or id(variable) in still, f"{variable.path} did not move"


def subtracted_biases(model):
    """Biases that batch normalisation subtracts again: their gradient is zero."""
    stages = [x for x in model._flatten_layers() if isinstance(x, BatchNormStage)]
    return {id(conv.bias) for stage in stages for conv in stage.convs}


def half_outputs(layer, args):
    return [
        keras.backend.standardize_dtype(x.dtype)
        for x in keras.tree.flatten(layer(*args))
    ]
