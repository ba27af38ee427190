"""Trains on several devices at once, of one machine or of several.

All devices of one machine, with TensorFlow (MirroredStrategy):

    python examples/train_distributed.py my_clips --run run

All devices of several machines, with JAX: the same command on each, with its number.
A machine without TensorFlow will do; the first one is where the others meet.

    export KERAS_BACKEND=jax
    python examples/train_distributed.py my_clips --run run \\
        --machines 2 --machine 0 --meet first-machine:7000

Every machine needs the same clips. A step takes the same batch as on one device, each
device its share of it, so the run is the same but for rounding.
"""

import argparse
import contextlib
from pathlib import Path

import keras

from stablevid_tf import data, models
from stablevid_tf.constraints import SRNC
from stablevid_tf.losses import Charbonnier
from stablevid_tf.metrics import PSNR


class Share(keras.utils.PyDataset):
    """One machine's part of every batch: clips ``machine``, ``machine + machines``, ...

    The noise is drawn for whole batches, so the parts fit together whatever their
    number.
    """

    def __init__(self, clips, machine, machines):
        super().__init__()
        self.clips, self.machine, self.machines = clips, machine, machines

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        return tuple(x[self.machine :: self.machines] for x in self.clips[index])

    def on_epoch_end(self):
        self.clips.on_epoch_end()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of clean videos")
    parser.add_argument("--run", default="run", help="folder for all that comes out")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--frames", type=int, default=7, help="of a clip")
    parser.add_argument("--size", type=int, default=64, help="of the crops, in pixels")
    parser.add_argument("--batch", type=int, default=8, help="clips, of all devices")
    parser.add_argument("--steps", type=int, default=100, help="per epoch")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--machines", type=int, default=1)
    parser.add_argument("--machine", type=int, default=0, help="this one, from 0")
    parser.add_argument("--meet", help="address:port of machine 0")
    args = parser.parse_args(argv)
    if args.machines > 1 and (keras.backend.backend() != "jax" or not args.meet):
        parser.error("more than one machine takes KERAS_BACKEND=jax and --meet")
    if args.batch % args.machines:
        parser.error(f"--batch must be a multiple of {args.machines} machines")

    scope = devices(args)
    keras.utils.set_random_seed(0)
    with scope:
        model = models.build(
            "vresnet_feat",
            features=args.features,
            blocks=args.blocks,
            constraint=SRNC(alpha=2.0, beta=0.1, frame_size=args.size),
        )
        rate = keras.optimizers.schedules.CosineDecay(1e-3, args.epochs * args.steps)
        metrics = [PSNR(frames="last")]
        model.compile(keras.optimizers.Adam(rate), Charbonnier(), metrics=metrics)
    clips = data.ClipDataset(
        args.folder,
        frames=args.frames,
        size=args.size,
        batch_size=args.batch,
        steps=args.steps,
        sigma=30,
    )
    # One of the machines writes; all hold the same weights.
    first = args.machine == 0
    Path(args.run).mkdir(parents=True, exist_ok=True)
    model.fit(
        Share(clips, args.machine, args.machines),
        epochs=args.epochs,
        shuffle=False,
        verbose=2 if first else 0,
        callbacks=[keras.callbacks.CSVLogger(f"{args.run}/log.csv")] if first else [],
    )
    # What computes is called on every machine, or the first waits for the others.
    folded = model.fold()
    if first:
        folded.save_weights(f"{args.run}/model.weights.h5")


def devices(args):
    """Use all devices; returns the context in which the model is made."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.MirroredStrategy().scope()
    if args.machines > 1:
        import jax

        jax.distributed.initialize(args.meet, args.machines, args.machine)
    # Share gives each machine its part already.
    keras.distribution.set_distribution(
        keras.distribution.DataParallel(auto_shard_dataset=False)
    )
    return contextlib.nullcontext()


if __name__ == "__main__":
    main()
