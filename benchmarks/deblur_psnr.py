"""How well entries deblur: PSNR on made-up motion, the sharp frames being known.

Measured: PSNR in RGB of the restored frame, clipped to [0, 1], and of the blurred one
as it is, against the sharp one, at the 7th and at the last frame; means over all
clips, and in how many of them restoring helps.
How: single frames of the clips given drift by up to --motion pixels a frame along each
axis (seed 7; cubic interpolation); --window of these frames, averaged, make a blurred
one, whose truth is the middle one. 128 clips of --frames blurred frames of 64x64. PSNR
is computed here in NumPy. Real video: stablevid evaluate NAME FOLDER --protocol rirn.

    python benchmarks/deblur_psnr.py ifi_rnn_rirn --clips FOLDER
"""

import argparse

import numpy as np
from common import psnr

from stablevid_tf import data
from stablevid_tf.cli.load_model import load_model
from stablevid_tf.data.degradations import MotionBlur

BATCH, BATCHES = 16, 8


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", help="entries, folders or .keras files")
    parser.add_argument("--clips", required=True, help="folder of sharp videos")
    parser.add_argument("--motion", type=float, default=1.0, help="pixels a frame")
    parser.add_argument("--window", type=int, default=7, help="frames averaged")
    parser.add_argument("--frames", type=int, default=20, help="7 or more")
    options = parser.parse_args()
    if options.frames < 7:
        parser.error(f"--frames: 7 or more, not {options.frames}")
    clips = data.ClipDataset(
        options.clips,
        frames=options.frames,
        size=64,
        batch_size=BATCH,
        motion=options.motion,
        degrade=MotionBlur(window=options.window),
        seed=7,
    )
    for name in options.names:
        model, before, after = load_model(name).fold(), [], []
        for blurred, sharp in (clips[i] for i in range(BATCHES)):
            before.extend(psnr(blurred, sharp))
            after.extend(psnr(model.predict(blurred, verbose=0), sharp))
        before, after = np.array(before), np.array(after)
        for label, t in (("7th", 6), ("last", options.frames - 1)):
            gains = after[:, t] - before[:, t]
            low, high = np.percentile(gains, (10, 90))
            print(
                f"deblur_psnr {name}: {label} frame of {len(gains)} clips with motion "
                f"up to {options.motion:g}: {after[:, t].mean():.2f} dB (blurred "
                f"{before[:, t].mean():.2f}); better in {np.mean(gains > 0):.0%} of "
                f"them, deciles of the gain {low:+.2f} and {high:+.2f} dB"
            )


if __name__ == "__main__":
    main()
