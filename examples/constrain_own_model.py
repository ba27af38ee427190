"""Holds the convolutions of a Keras model of your own to norm alpha and stable rank.

    python examples/constrain_own_model.py my_clips

Every Conv2D becomes an SRNCConv2D; after training, plain ones again.
"""

import argparse

import keras
from keras import layers

from stablevid_tf import data, numerics
from stablevid_tf.constraints import SRNC
from stablevid_tf.layers import SRNCConv2D


def dncnn(features, **conv):
    """The model to constrain: it knows nothing of stablevid_tf."""
    x = frame = keras.Input((None, None, 3))
    for _ in range(3):
        x = layers.Conv2D(features, 3, padding="same", activation="relu", **conv)(x)
    noise = layers.Conv2D(3, 3, padding="same", **conv)(x)
    return keras.Model(frame, layers.Subtract()([frame, noise]))


def constrained(layer, alpha=1.0, beta=0.4):
    config = layer.get_config()
    if type(layer) is not layers.Conv2D:
        return type(layer).from_config(config)
    keys = "name", "filters", "kernel_size", "padding", "activation"
    return SRNCConv2D(alpha=alpha, beta=beta, **{key: config[key] for key in keys})


def plain(layer):
    fold = getattr(layer, "fold", None)
    return fold() if fold else type(layer).from_config(layer.get_config())


def norms(model):
    kernels = [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
    return [round(numerics.conv_norm(kernel, 64), 3) for kernel in kernels]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of clean videos")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args(argv)
    clips = data.ClipDataset(args.folder, frames=1, size=32, batch_size=256)
    noisy, clean = (batch[:, 0] for batch in clips[0])

    free = dncnn(args.features)
    held = keras.models.clone_model(free, clone_function=constrained)
    # The same words as a Keras constraint are ANOTHER algorithm: Keras projects the
    # kernel itself after each update, and gradients know nothing of it.
    projected = dncnn(args.features, kernel_constraint=SRNC(alpha=1.0, beta=0.4))
    for model in (free, held, projected):
        model.compile("adam", "mse")
        model.fit(noisy, clean, epochs=args.epochs, verbose=2)
    folded = keras.models.clone_model(held, clone_function=plain)  # loads without us
    for name, model in ("free", free), ("folded", folded), ("projected", projected):
        print(f"{name:9}", *norms(model))
    return free, held, folded, projected


if __name__ == "__main__":
    main()
