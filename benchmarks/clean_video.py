"""How much a denoiser changes video that has no noise.

Measured: PSNR in RGB, clipped to [0, 1], between what enters the model and what it
gives back (mean over frames 0 to --frames), and how far the mean colour moves at most,
in units of 255.
How: each clip is coded by x264 at --crf, which leaves no visible artefact at 10, and
restored from frame 0 with the model's defaults. Required of the default denoiser: at
least 42 dB on every clip.

    python benchmarks/clean_video.py NAME... --clips FOLDER [--crf 10] [--out F.csv]
"""

import argparse
from pathlib import Path

import numpy as np
from common import colour_shift, psnr, write_csv
from denoise_psnr import frame_by_frame, mean, read

from stablevid_tf import streaming
from stablevid_tf.cli.load_model import load_model
from stablevid_tf.data.degradations import h264
from stablevid_tf.data.list_videos import list_videos

COLUMNS = ("model", "clip", "unchanged", "colour")


def changed(model, frames):
    """`(PSNR of the output against the input, largest shift of the mean colour)`."""
    found, shifts = [], []
    for frame, out in zip(frames, streaming.restore(model, frames), strict=True):
        found.append(psnr(out, frame))
        shifts.append(colour_shift(out, frame))
    return float(np.mean(found)), max(shifts)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="+", metavar="NAME", help="zoo entries or files")
    add("--clips", required=True, help="folder of clean clips")
    add("--frames", type=int, default=20, help="last frame (%(default)s)")
    add("--crf", type=int, default=10, help="quality of x264 (%(default)s)")
    add("--out", help="CSV file to write")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.models:
        model, own = frame_by_frame(load_model(name), name), []
        for path in list_videos(options.clips):
            frames = h264(read(path, options.frames + 1), options.crf)
            row = (name, Path(path).stem, *changed(model, frames))
            own.append(dict(zip(COLUMNS, row, strict=True)))
            print("{:20} {:24} {:6.2f} dB, colour {:.2f}".format(*row), flush=True)
        least = min(row["unchanged"] for row in own)
        print(f"{name}: mean {mean(own, 'unchanged'):.2f} dB, least {least:.2f} dB")
        rows += own
    write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
