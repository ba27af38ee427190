"""What memory is worth: a frame restored with the frames before it, and without them.

Measured: PSNR in RGB of the restored frame --frame (counted from 0; the last frame of a
shorter clip), clipped to [0, 1], after the model has run from frame 0, minus PSNR of
the same noisy frame restored from the initial state. `motion` is the mean absolute
difference between the clean frame and the one before it, in units of 255; a
clip with --moving or more counts as moving.
How: the noise is that of denoise_psnr.py for the same clip. A model that looks ahead is
shown the same frames after the measured one both times. With --still a still scene is
made of each clip too: the measured frame, repeated, with fresh noise in every frame,
which in frame --frame is the clip's own. Bidirectional models have no state between
frames and are refused.

    python benchmarks/memory_worth.py NAME... --clips FOLDER [--still] [--out F.csv]
"""

import argparse
from pathlib import Path

import numpy as np
from common import psnr, write_csv
from denoise_psnr import add_noise, frame_by_frame, mean, read, restored, told

from stablevid_tf.cli.load_model import load_model
from stablevid_tf.data.list_videos import list_videos

COLUMNS = (
    "model",
    "clip",
    "scene",
    "frame",
    "motion",
    "with memory",
    "from zero state",
    "difference",
)


def worth(model, clean, noisy, t):
    """PSNR of frame `t` with the frames before it, and from the initial state."""
    with_memory = restored(model, noisy, [t])[t]
    from_zero = restored(model, noisy[t:], [0])[0]
    return float(psnr(with_memory, clean[t])), float(psnr(from_zero, clean[t]))


def still_scene(clean, t):
    """Frame `t` of a clip, repeated as often as the clip has frames."""
    return np.repeat(clean[t : t + 1], len(clean), axis=0)


def measure(name, model, paths, options):
    """The rows of one model."""
    rows = []
    for path in paths:
        clip = Path(path).stem
        clean = read(path, options.frame + 1 + model.latency)
        t = min(options.frame, len(clean) - 1)
        if t == 0:
            print(f"{clip} has one frame: left out")
            continue
        scenes = {"clip": clean}
        if options.still:
            scenes["still"] = still_scene(clean, t)
        for scene, frames in scenes.items():
            noisy = add_noise(frames, clip, options.sigma)
            motion = 255 * float(np.abs(frames[t] - frames[t - 1]).mean())
            figures = worth(model, frames, noisy, t)
            figures = (motion, *figures, figures[0] - figures[1])
            cells = (name, clip, scene, t, *(round(x, 3) for x in figures))
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
            print(*(f"{cell!s:>15}" for cell in cells), flush=True)
    return rows


def summary(name, rows, moving):
    """One line: the mean of each kind of scene, and the worst of all."""
    clips = [row for row in rows if row["scene"] == "clip"]
    kinds = {
        f"clips with motion of {moving:g} or more": [
            row for row in clips if row["motion"] >= moving
        ],
        "clips with less": [row for row in clips if row["motion"] < moving],
        "still scenes": [row for row in rows if row["scene"] == "still"],
    }
    parts = []
    for kind, chosen in kinds.items():
        if chosen:
            value = mean(chosen, "difference")
            parts.append(f"{kind}: mean {value:+.2f} dB ({len(chosen)})")
    worst = min(rows, key=lambda row: row["difference"])
    where = worst["clip"] + (" as a still scene" if worst["scene"] == "still" else "")
    return (
        f"memory_worth {name}: {'; '.join(parts)}; "
        f"worst {worst['difference']:+.2f} dB ({where})"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", help="entries, folders or .keras files")
    parser.add_argument("--clips", nargs="+", required=True, help="folders or videos")
    parser.add_argument(
        "--sigma", type=float, default=30.0, help="in units of 255. Default: 30"
    )
    parser.add_argument(
        "--frame", type=int, default=20, help="counted from 0. Default: 20"
    )
    parser.add_argument("--still", action="store_true", help="still scenes too")
    parser.add_argument(
        "--moving",
        type=float,
        default=2.0,
        help="least motion of a moving clip, in units of 255. Default: 2",
    )
    parser.add_argument("--out", help="CSV file to write")
    options = parser.parse_args()
    if options.frame < 1:
        parser.error(f"--frame must be 1 or more. Received: {options.frame}")
    paths = list_videos(options.clips)
    models = {
        name: told(frame_by_frame(load_model(name), name), options.sigma)
        for name in options.names
    }
    print(*(f"{key:>15}" for key in COLUMNS))
    found = {name: measure(name, m, paths, options) for name, m in models.items()}
    for name, rows in found.items():
        if rows:
            print(summary(name, rows, options.moving))
    write_csv(options.out, COLUMNS, [row for rows in found.values() for row in rows])


if __name__ == "__main__":
    main()
