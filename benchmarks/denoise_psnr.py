"""How well entries denoise: PSNR on clips with Gaussian noise of sigma 30.

Measured: PSNR in RGB of the restored frame, clipped to [0, 1], against the clean one,
at frames 6, 20 and the eighth from the end (counted from 0; clips of fewer than 40
frames: 6 only), per clip, and the mean over frame 6.
How: noise of --sigma / 255 is added in float and not clipped, from a seed made of the
clip's name; the model, with folded weights, runs from frame 0 through the clip. PSNR
is computed here in NumPy. A bidirectional model sees the whole clip. --reference
takes a CSV with the columns clip, frame, psnr and prints the gap beside. With
--motion the mean PSNR at the 7th frame of 128 clips of 64x64 is taken instead, made of
single frames that drift by up to so many pixels a frame (0: that stand still).

    python benchmarks/denoise_psnr.py vresnet_feat_srnc --clips FOLDER [--out F.csv]
"""

import argparse
import csv
import itertools
import zlib
from pathlib import Path

import numpy as np
from common import psnr, write_csv

from stablevid_tf import data, models, streaming
from stablevid_tf.cli.load_model import load_model
from stablevid_tf.cli.noise import takes_level

SHORT = 40
COLUMNS = ("model", "clip", "frame", "noisy", "psnr", "reference", "gap")


def measured_frames(length):
    """The frames at which PSNR is taken."""
    if length <= 6:
        return [length - 1]
    return [6] if length < SHORT else [6, 20, length - 8]


def told(model, sigma):
    """The model; one with a noise map told the level."""
    return models.at_noise_level(model, sigma) if takes_level(model) else model


def frame_by_frame(model, name):
    """The model, folded; refused if it does not restore single frames at their size."""
    if not hasattr(model, "step"):
        raise SystemExit(
            f"{name} restores whole clips and has no `step`. Use a model that restores "
            "frame by frame"
        )
    if model.scale != 1:
        raise SystemExit(
            f"{name} enlarges frames by {model.scale}. Use a model that keeps the size"
        )
    fold = getattr(model, "fold", None)
    return fold() if fold else model


def read(path, frames=None):
    """The first frames of a clip (default: all), [T, H, W, 3] float32 in [0, 1]."""
    with data.open_video(path) as video:
        images = [frame.image for frame in itertools.islice(video, frames)]
    return np.stack(images).astype("float32") / 255


def generator(name):
    """A NumPy generator whose seed is made of a clip's name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def add_noise(clean, name, sigma):
    """A clip with Gaussian noise; a shorter clip of that name gets the same noise."""
    noise = generator(name).standard_normal(clean.shape, dtype="float32")
    return clean + noise * np.float32(sigma / 255)


def restored(model, noisy, wanted):
    """``{frame: restored}`` of the frames wanted."""
    if not hasattr(model, "step"):
        whole = model.fold().predict(noisy[None], verbose=0)[0]
        return {t: whole[t] for t in wanted}
    # Enough frames after the last one wanted for models that look ahead.
    noisy = noisy[: max(wanted) + 1 + model.latency]
    frames = enumerate(streaming.restore(model, noisy))
    return {t: frame for t, frame in frames if t in wanted}


def references(path):
    if not path:
        return {}
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return {(row["clip"], int(row["frame"])): float(row["psnr"]) for row in rows}


def measure(name, paths, options, reference):
    model, rows = told(load_model(name), options.sigma), []
    for path in paths:
        clip = Path(path).stem
        clean = read(path)
        noisy = add_noise(clean, clip, options.sigma)
        wanted = measured_frames(len(clean))
        for t, frame in sorted(restored(model, noisy, wanted).items()):
            row = dict.fromkeys(COLUMNS, "") | {"model": name, "clip": clip, "frame": t}
            row["noisy"] = round(psnr(noisy[t], clean[t]), 3)
            row["psnr"] = round(psnr(frame, clean[t]), 3)
            if (clip, t) in reference:
                row["reference"] = reference[clip, t]
                row["gap"] = round(row["psnr"] - row["reference"], 3)
            rows.append(row)
            print(*(f"{row[key]!s:>12}" for key in COLUMNS), flush=True)
    return rows


def measure_drifting(name, options):
    """Print the mean PSNR at the 7th frame of made-up motion, for the clips given."""
    clips = data.ClipDataset(
        options.clips,
        frames=7,
        size=64,
        batch_size=16,
        sigma=options.sigma,
        motion=options.motion,
        seed=7,
    )
    model, restored, noisy = told(load_model(name), options.sigma).fold(), [], []
    for seen, clean in (clips[i] for i in range(8)):
        out = model.predict(seen, verbose=0)
        restored += [psnr(*pair) for pair in zip(out[:, -1], clean[:, -1], strict=True)]
        noisy += [psnr(*pair) for pair in zip(seen[:, -1], clean[:, -1], strict=True)]
    print(
        f"denoise_psnr {name}: mean PSNR at the 7th frame of {len(restored)} clips "
        f"with motion up to {options.motion:g}: {np.mean(restored):.2f} dB "
        f"(noisy {np.mean(noisy):.2f})"
    )


def mean(rows, key):
    return float(np.mean([row[key] for row in rows])) if rows else float("nan")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", help="entries, folders or .keras files")
    parser.add_argument("--clips", nargs="+", required=True, help="folders or videos")
    parser.add_argument("--sigma", type=float, default=30.0, help="in units of 255")
    parser.add_argument("--reference", help="CSV with the columns clip, frame, psnr")
    parser.add_argument("--only-reference", action="store_true", help="its clips only")
    parser.add_argument("--motion", type=float, help="pixels a frame, made up")
    parser.add_argument("--out", help="CSV file to write")
    options = parser.parse_args()
    if options.motion is not None:
        for name in options.names:
            measure_drifting(name, options)
        return

    from stablevid_tf.data.list_videos import list_videos

    reference = references(options.reference)
    paths = list_videos(options.clips)
    if options.only_reference:
        known = {clip for clip, _ in reference}
        paths = [path for path in paths if Path(path).stem in known]
    print(*(f"{key:>12}" for key in COLUMNS))
    rows = []
    for name in options.names:
        rows += measure(name, paths, options, reference)
    for name in options.names:
        first = [row for row in rows if row["model"] == name and row["frame"] == 6]
        compared = [row for row in first if row["gap"] != ""]
        print(
            f"denoise_psnr {name}: mean PSNR at frame 6 {mean(first, 'psnr'):.2f} dB "
            f"over {len(first)} clips (noisy {mean(first, 'noisy'):.2f})"
        )
        if compared:
            print(
                f"denoise_psnr {name}: over the {len(compared)} with a reference "
                f"{mean(compared, 'psnr'):.2f} against "
                f"{mean(compared, 'reference'):.2f}: {mean(compared, 'gap'):+.2f} dB"
            )
    write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
