"""Trains a restorer on a dataset that tensorflow_datasets built.

    python examples/train_tfds.py my_videos                      # your own videos
    python examples/train_tfds.py downloads/reds --name reds/sharp --split mori_train
    python examples/train_tfds.py downloads/reds --name reds/blur --split mori_train

The first builds `video_folder` from a folder of videos; `stablevid data list` names the
other datasets, and what must be downloaded by hand is told when it is missing. Where a
dataset holds pairs (blurred and sharp) the model learns those, elsewhere to take noise
away. A dataset that is built is used again.
"""

import argparse

import keras

from stablevid_tf import data, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import builders
from stablevid_tf.losses import Charbonnier
from stablevid_tf.metrics import PSNR
from stablevid_tf.training import Resume


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of what was downloaded, or of your videos")
    parser.add_argument("--name", default="video_folder", help="of the dataset")
    parser.add_argument("--split", default="train")
    parser.add_argument("--data-dir", default="datasets", help="for built datasets")
    parser.add_argument("--cache", help="for decoded frames; a temporary folder if not")
    parser.add_argument("--run", default="run", help="folder for all that comes out")
    parser.add_argument("--sigma", type=float, default=30, help="of the noise, of 255")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--frames", type=int, default=7, help="of a clip")
    parser.add_argument("--size", type=int, default=64, help="of the crops, in pixels")
    parser.add_argument("--steps", type=int, default=100, help="per epoch")
    parser.add_argument("--epochs", type=int, default=100)
    args = parser.parse_args(argv)

    builder = builders.build(args.name, args.folder, args.data_dir)
    clips = data.TfdsClips(
        builder,
        args.split,
        frames=args.frames,
        size=args.size,
        steps=args.steps,
        sigma=args.sigma,
        cache=args.cache,
    )
    model = models.build(
        "vresnet_feat",
        features=args.features,
        scale=clips.scale,
        constraint=SRNC(alpha=2.0, beta=0.1),
    )
    rate = keras.optimizers.schedules.CosineDecay(1e-3, args.epochs * args.steps)
    metrics = [PSNR(frames="last")]
    model.compile(keras.optimizers.Adam(rate), Charbonnier(), metrics=metrics)
    callbacks = [
        Resume(args.run, clips),
        keras.callbacks.ModelCheckpoint(f"{args.run}/model.keras"),
    ]
    model.fit(clips, epochs=args.epochs, verbose=2, callbacks=callbacks)
    model.fold().save(f"{args.run}/folded.keras")  # plain convolutions, for inference


if __name__ == "__main__":
    main()
