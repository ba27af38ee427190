"""How a denoiser holds out on a scene that stands still for a long time.

Measured: PSNR in RGB of the restored frame, clipped to [0, 1], averaged over ten frames
up to each of --at, and how far its mean colour is from the scene's at most, in units
of 255.
How: the scene is the middle, --size pixels a side, of one frame of each clip (frame 6,
or the last), repeated, with fresh Gaussian noise of --sigma in every frame. The model
runs through all frames with its defaults.

    python benchmarks/still_scene.py NAME... --clips FOLDER [--out F.csv]
"""

import argparse
from pathlib import Path

import numpy as np
from common import colour_shift, psnr, write_csv
from denoise_psnr import frame_by_frame, generator, read, told

from stablevid_tf import streaming
from stablevid_tf.cli.load_model import load_model
from stablevid_tf.data.list_videos import list_videos

FRAME, MEAN_OF = 6, 10
COLUMNS = ("model", "clip", "frame", "psnr", "colour")


def middle(frame, size):
    """The middle of a picture, at most `size` pixels a side."""
    rows, columns = (max(n - size, 0) // 2 for n in frame.shape[:2])
    return frame[rows : rows + size, columns : columns + size]


def noisy(scene, name, sigma, count):
    """The scene `count` times, each time with other noise."""
    random = generator(name)
    for _ in range(count):
        noise = random.standard_normal(scene.shape, dtype="float32")
        yield scene + noise * np.float32(sigma / 255)


def measure(model, scene, name, options):
    """`{frame: (PSNR, shift of colour)}`."""
    frames = noisy(scene, name, options.sigma, max(options.at) + 1)
    levels, shifts = [], []
    for out in streaming.restore(model, frames):
        levels.append(psnr(out, scene))
        shifts.append(colour_shift(out, scene))
    return {
        t: (
            float(np.mean(levels[max(t + 1 - MEAN_OF, 0) : t + 1])),
            max(shifts[: t + 1]),
        )
        for t in options.at
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="+", metavar="NAME", help="zoo entries or files")
    add("--clips", required=True, help="folder of clean clips")
    add("--at", type=int, nargs="+", default=[0, 20, 100, 300, 1000], help="frames")
    add("--size", type=int, default=128, help="of the scene (%(default)s)")
    add("--sigma", type=float, default=30, help="of 255 (%(default)s)")
    add("--out", help="CSV file to write")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.models:
        model = frame_by_frame(told(load_model(name), options.sigma), name)
        for path in list_videos(options.clips):
            clip = Path(path).stem
            scene = middle(read(path, FRAME + 1)[-1], options.size)
            found = measure(model, scene, clip, options)
            for t, values in found.items():
                rows.append(dict(zip(COLUMNS, (name, clip, t, *values), strict=True)))
            words = ", ".join(f"frame {t} {v:.2f}" for t, (v, _) in found.items())
            colour = max(shift for _, shift in found.values())
            print(f"{name} {clip}: {words} dB; colour {colour:.2f}", flush=True)
    write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
