"""Reading never starves the step: clips per second against a training step.

Measured: batches a second of ``data.ClipDataset`` on video files, of
``data.TfdsClips`` on the dataset that the builder ``video_folder`` makes of them, and
of ``data.ClipDataset`` with synthetic motion (single frames that drift, cubic
interpolation), each with crop, flip and fresh noise, frames decoded beforehand as they
do when they are made; against training steps a second of VResNet-feat without a
constraint, batch 8, 7 x 64x64, float32 and mixed_bfloat16.
How: all in one process; each round times 10 batches of each and one step of each, in
an order drawn afresh; the ratio is taken within a round; median, and min-max. Without
--clips three videos of noise, 448x256, are made as folders of images.
Required: at least 5.

    python benchmarks/data_reading.py [--clips FOLDER --rounds 10] [--out F]
"""

import itertools
import tempfile
from pathlib import Path

import common
import keras
import numpy as np
from PIL import Image

from stablevid_tf import data, models
from stablevid_tf.data import builders
from stablevid_tf.losses import Charbonnier

BATCHES = 10


def make_clips(folder, count=3, length=30, width=448, height=256):
    random = np.random.default_rng(0)
    for name in range(count):
        clip = folder / f"clip{name}"
        clip.mkdir(parents=True)
        for t in range(length):
            image = random.integers(0, 256, (height, width, 3), "uint8")
            Image.fromarray(image).save(clip / f"{t:04d}.png", compress_level=1)
    return folder


def stepper(features, dtype, batch):
    model = models.build("vresnet_feat", features=features, dtype=dtype)
    model.compile(keras.optimizers.Adam(1e-4), loss=Charbonnier(), jit_compile=False)
    return lambda: model.train_on_batch(*batch)


def ten_batches(reader):
    index = itertools.count()
    return lambda: [reader[next(index)] for _ in range(BATCHES)]


def main():
    options = common.arguments(
        __doc__,
        clips="",
        features=64,
        batch=8,
        frames=7,
        size=64,
        rounds=10,
        motion=2.0,
    ).parse_args()
    clip = {
        "frames": options.frames,
        "size": options.size,
        "batch_size": options.batch,
        "sigma": 30,
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source = options.clips or make_clips(folder / "clips")
        built = builders.build("video_folder", source, folder / "built")
        readers = {
            "video files": data.ClipDataset(source, **clip),
            "tfds": data.TfdsClips(built, **clip),
            "synthetic motion": data.ClipDataset(source, **clip, motion=options.motion),
        }
        work = {name: ten_batches(reader) for name, reader in readers.items()}
        batch = readers["video files"][0]
        for dtype in ("float32", "mixed_bfloat16"):
            work[dtype] = stepper(options.features, dtype, batch)
        took = common.interleave(work, options.rounds)
        for name in readers:
            took[name] = took[name] / BATCHES
    common.table(
        ("work", "rate"),
        [(name, f"{1 / np.median(s):.2f} a second") for name, s in took.items()],
    )
    verdicts = [
        common.verdict(
            f"data_reading, {name}, batches per {dtype} step",
            took[dtype] / took[name],
            at_least=5,
        )
        for name in readers
        for dtype in ("float32", "mixed_bfloat16")
    ]
    common.write(
        options.out,
        options=vars(options),
        seconds={name: list(s) for name, s in took.items()},
        verdicts=verdicts,
    )


if __name__ == "__main__":
    main()
