"""Short equal trials of training: which optimiser, rate or architecture learns faster.

Measured: PSNR in RGB, clipped to [0, 1], of frame 6 of each clip in --clips (counted
from 0), restored by itself with Gaussian noise of sigma 30, after every tenth of the
training; the mean over the clips, and the training loss. The noise is that of
denoise_psnr.py.
How: every trial starts from the same seed and sees the same batches: single frames of
videos (--data, cartoon shots `bbb_*` left out) and photographs (--photos), 70 to 30,
sigma 30, mixed_bfloat16; warm-up of 50 steps, cosine to 1 %. A trial is
`OPTIMISER:RATE`, such as `muon:3e-3`. --arguments gives those of the network, as JSON.
Trials run one after another; their seconds compare on a quiet machine only.

    python benchmarks/training_trials.py muon:3e-3 adam:1e-3 --data TRAIN --clips CLIPS
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
from common import psnr, write_csv
from denoise_psnr import add_noise, read

from stablevid_tf import data, models
from stablevid_tf.data.list_videos import list_videos
from stablevid_tf.losses import Charbonnier
from stablevid_tf.training import Muon

FRAME, SIGMA, WARM_UP = 6, 30, 50
OPTIMISERS = {
    "muon": Muon,
    "adam": lambda rate: keras.optimizers.Adam(rate, global_clipnorm=0.1),
}
COLUMNS = ("trial", "step", "seconds", "loss", "psnr")


def batches(options):
    """The clips of one trial, of one frame each."""
    same = {
        "frames": 1,
        "size": options.size,
        "sigma": SIGMA,
        "cache": options.cache,
        "weight": lambda path: 1,
    }
    videos = [p for p in list_videos(options.data) if "bbb_" not in Path(p).name]
    parts = [data.ClipDataset(videos, **same)]
    if options.photos:
        photos = sorted(p for p in Path(options.photos).iterdir() if p.is_file())
        parts.append(data.ClipDataset(photos, motion=0, **same))
    return data.ClipMixture(
        parts,
        (0.7, 0.3)[: len(parts)],
        batch_size=options.batch,
        steps=options.steps // 10,
        seed=0,
    )


class HeldOut(keras.callbacks.Callback):
    """Appends a row for each tenth of the training."""

    def __init__(self, trial, paths, steps, rows):
        super().__init__()
        self.trial, self.steps, self.rows = trial, steps, rows
        self.clean = {Path(p).stem: read(p, FRAME + 1) for p in paths}

    def on_train_begin(self, logs=None):
        self.seconds, self.since = 0.0, time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds += time.perf_counter() - self.since
        found = []
        for name, clean in self.clean.items():
            noisy = add_noise(clean, name, SIGMA)[FRAME][None]
            state = self.model.initial_state(noisy)
            found.append(psnr(np.asarray(self.model.step(noisy, state)[0]), clean[-1:]))
        step = (epoch + 1) * self.steps // 10
        row = (self.trial, step, self.seconds, logs["loss"], float(np.mean(found)))
        self.rows.append(dict(zip(COLUMNS, row, strict=True)))
        print("{:16} {:6} {:7.1f} s  loss {:.4f}  PSNR {:.2f} dB".format(*row))
        self.since = time.perf_counter()


def run(trial, options, rows):
    """Train once; its rows are appended."""
    name, rate = trial.split(":")
    keras.utils.set_random_seed(0)
    model = models.build(
        options.model, dtype="mixed_bfloat16", **json.loads(options.arguments)
    )
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        options.steps - WARM_UP,
        0.01,
        warmup_target=float(rate),
        warmup_steps=WARM_UP,
    )
    model.compile(OPTIMISERS[name](schedule), Charbonnier())
    held_out = HeldOut(trial, list_videos(options.clips), options.steps, rows)
    model.fit(batches(options), epochs=10, verbose=0, callbacks=[held_out])


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("trials", nargs="+", metavar="OPTIMISER:RATE")
    add("--data", nargs="+", required=True, help="folders of video clips")
    add("--photos", help="folder of photographs")
    add("--clips", required=True, help="folder of held-out clips")
    add("--cache", help="folder for decoded frames, kept between runs")
    add("--model", default="memory_unet")
    add("--arguments", default="{}", help="of the network, as JSON")
    add("--steps", type=int, default=500, help="a multiple of 10 (%(default)s)")
    add("--batch", type=int, default=24)
    add("--size", type=int, default=96)
    add("--out", help="CSV file to write")
    options = parser.parse_args(arguments)
    for trial in options.trials:
        name, _, rate = trial.partition(":")
        if name not in OPTIMISERS or not rate:
            parser.error(
                f"{trial!r} is no trial: give one of {', '.join(OPTIMISERS)}, a colon "
                "and a rate, such as muon:3e-3"
            )
    if options.steps <= WARM_UP or options.steps % 10:
        parser.error(f"--steps: a multiple of 10 above {WARM_UP}")
    rows = []
    for trial in options.trials:
        run(trial, options, rows)
    write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
