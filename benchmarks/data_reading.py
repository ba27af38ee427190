"""Reading never starves the step: clips per second against a training step.

Measured: batches a second of ``data.ClipDataset`` (crop, flip, fresh noise; videos
decoded beforehand, as it does when it is made), by the videos' own motion, with single
frames that drift, and with such that a CameraPath leads, against training steps a
second of VResNet-feat without a constraint, batch 8, 7 x 64x64, float32 and
mixed_bfloat16.
How: all in one process; each round times 10 batches and one step of each, in an
order drawn afresh; the ratio is taken within a round; median, and min-max. Without
--clips three videos of noise, 448x256, are made as folders of images.
Required: at least 5.

    python benchmarks/data_reading.py [--clips FOLDER --rounds 10] [--out F]
"""

import functools
import itertools
import tempfile
from pathlib import Path

import common
import keras
import numpy as np
from PIL import Image

from stablevid_tf import data, models
from stablevid_tf.losses import Charbonnier

BATCHES = 10
DTYPES = ("float32", "mixed_bfloat16")
READINGS = {
    "videos": None,
    "drifting pictures": 1.0,
    "camera over pictures": data.CameraPath(speed=(0, 1), reach=8),
}


def make_clips(folder, count=3, length=30, width=448, height=256):
    random = np.random.default_rng(0)
    for name in range(count):
        clip = Path(folder) / f"clip{name}"
        clip.mkdir()
        for t in range(length):
            image = random.integers(0, 256, (height, width, 3), "uint8")
            Image.fromarray(image).save(clip / f"{t:04d}.png", compress_level=1)
    return folder


def read(clips, index):
    return [clips[next(index)] for _ in range(BATCHES)]


def stepper(features, dtype, batch):
    model = models.build("vresnet_feat", features=features, dtype=dtype)
    model.compile(keras.optimizers.Adam(1e-4), loss=Charbonnier(), jit_compile=False)
    return lambda: model.train_on_batch(*batch)


def main():
    options = common.arguments(
        __doc__, clips="", features=64, batch=8, frames=7, size=64, rounds=10
    ).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, index, work = options.clips or make_clips(folder), itertools.count(), {}
        for reading, motion in READINGS.items():
            clips = data.ClipDataset(
                source,
                frames=options.frames,
                size=options.size,
                batch_size=options.batch,
                sigma=30,
                motion=motion,
                cache=f"{folder}/cache",
            )
            work[reading] = functools.partial(read, clips, index)
        for dtype in DTYPES:
            work[dtype] = stepper(options.features, dtype, clips[0])
        took = common.interleave(work, options.rounds)
    for reading in READINGS:
        took[reading] = took[reading] / BATCHES
    common.table(
        ("work", "rate"),
        [(name, f"{1 / np.median(s):.2f} a second") for name, s in took.items()],
    )
    verdicts = [
        common.verdict(
            f"data_reading, {reading}: batches per {dtype} step",
            took[dtype] / took[reading],
            at_least=5,
        )
        for reading in READINGS
        for dtype in DTYPES
    ]
    common.write(
        options.out,
        options=vars(options),
        seconds={name: list(s) for name, s in took.items()},
        verdicts=verdicts,
    )


if __name__ == "__main__":
    main()
