"""Trains a recurrent restorer that stays stable, on a folder of clean video clips.

    python examples/train_on_folder.py my_clips --run run
    tensorboard --logdir run/logs

The folder holds video files, or folders of frames. Killed at any moment, the same
command goes on from the last whole epoch and ends where the unbroken run ends.
"""

import argparse

import keras

from stablevid_tf import data, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.losses import Charbonnier
from stablevid_tf.metrics import PSNR
from stablevid_tf.training import Resume


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of clean videos")
    parser.add_argument("--run", default="run", help="folder for all that comes out")
    parser.add_argument("--sigma", type=float, default=30, help="of the noise, of 255")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--size", type=int, default=64, help="of the crops, in pixels")
    parser.add_argument("--steps", type=int, default=100, help="per epoch")
    parser.add_argument("--epochs", type=int, default=100)
    args = parser.parse_args(argv)

    clips = data.ClipDataset(
        args.folder, frames=7, size=args.size, steps=args.steps, sigma=args.sigma
    )
    # Leave the constraint out and the model may diverge on long videos.
    stable = SRNC(alpha=2.0, beta=0.1)
    model = models.build("vresnet_feat", features=args.features, constraint=stable)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, args.epochs * args.steps)
    metrics = [PSNR(frames="last")]
    model.compile(keras.optimizers.Adam(rate), Charbonnier(), metrics=metrics)
    callbacks = [
        Resume(args.run, clips),
        keras.callbacks.TensorBoard(f"{args.run}/logs", write_graph=False),
        keras.callbacks.ModelCheckpoint(f"{args.run}/model.keras"),
    ]
    model.fit(clips, epochs=args.epochs, verbose=2, callbacks=callbacks)
    model.fold().save(f"{args.run}/folded.keras")  # plain convolutions, for inference


if __name__ == "__main__":
    main()
