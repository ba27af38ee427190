"""AveragedWeights: the file it writes, and the training it leaves alone.

Tested: the average against NumPy, from the weights after every step; that training goes
on as without the callback, bit for bit; a file without an optimiser; a write that
fails; an optimiser without an average.
Not tested: how much an average restores better (the zoo's cards).
"""

import h5py
import keras
import numpy as np
import pytest

from stablevid_tf.training import AveragedWeights

MOMENTUM = 0.75


def compiled(**options):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    options = {"use_ema": True, "ema_momentum": MOMENTUM} | options
    adam = keras.optimizers.Adam(0.05, **options)
    model.compile(adam, "mse", jit_compile=False)
    return model


def fit(model, *callbacks, epochs=2):
    x = np.random.default_rng(0).random((20, 3), "float32")
    model.fit(
        x,
        x[:, :2],
        batch_size=4,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


def test_the_average_and_the_training(tmp_path):
    path = tmp_path / "averaged.weights.h5"
    files, seen = [], []
    model = compiled()
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights()),
        on_epoch_end=lambda epoch, logs: files.append(path.read_bytes()),
    )
    fit(model, AveragedWeights(path), watch)
    # Two epochs of five steps; the average begins with the first step's weights.
    averages, average = [], None
    for step, weights in enumerate(seen):
        if average is None:
            average = [w.astype("float64") for w in weights]
        else:
            average = [
                MOMENTUM * a + (1 - MOMENTUM) * w
                for a, w in zip(average, weights, strict=True)
            ]
        if step % 5 == 4:
            averages.append(average)
    for content, wanted in zip(files, averages, strict=True):
        path.write_bytes(content)
        other = compiled()
        other.load_weights(path)
        for a, b in zip(other.get_weights(), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # float32
    assert np.abs(averages[1][0] - seen[-1][0]).max() > 1e-3
    with h5py.File(path, "r") as file:
        assert "optimizer" not in file

    # The same steps, bit for bit, and the same state to go on from.
    bare, steps = compiled(), []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(bare.get_weights())
    )
    fit(bare, watch)
    assert len(steps) == len(seen) == 10
    for mine, other in zip(seen, steps, strict=True):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(model.optimizer.variables, bare.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_write_that_fails_leaves_the_model_as_it_was(tmp_path):
    model = compiled()
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.get_weights())
    )
    with pytest.raises(OSError):
        fit(model, watch, AveragedWeights(tmp_path / "missing" / "a.weights.h5"))
    assert len(seen) == 5
    for a, b in zip(model.get_weights(), seen[-1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(model.optimizer, keras.optimizers.Adam)


def test_an_optimiser_without_an_average(tmp_path):
    with pytest.raises(ValueError, match="use_ema=True"):
        fit(compiled(use_ema=False), AveragedWeights(tmp_path / "a.weights.h5"))
    assert not list(tmp_path.iterdir())
