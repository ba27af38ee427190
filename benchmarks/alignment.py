"""How well motion is found in noisy clips: the error of a frame moved onto the next.

Measured: root mean square, in units of 255, of the difference between a clean frame and
the clean frame before it, moved by a flow that was found in noisy frames: the mean over
frames 6, 10, 15 and 20 of each clip (those that it has). "none" does not move it. With
`still`, both frames are the same picture with different noise, and any motion is wrong.
How: Gaussian noise, that of denoise_psnr.py; frames are moved bilinearly at their full
size. DIS is OpenCV's dense inverse search (Kroeger et al., "Fast Optical Flow using
Dense Inverse Search", 2016), on grey frames of 8 bits.

    python benchmarks/alignment.py --clips FOLDER [--sigma 10 30 50] [--out F.csv]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from common import write_csv
from denoise_psnr import add_noise, generator, read

from stablevid_tf.data.list_videos import list_videos
from stablevid_tf.layers import FlowWarp, LucasKanade

FRAMES = (6, 10, 15, 20)
COLUMNS = ("clip", "scene", "sigma", "method", "error")


def dis(before, after):
    """OpenCV's flow from `after` to `before`."""
    grey = [
        (cv2.cvtColor(np.clip(x[0], 0, 1), cv2.COLOR_RGB2GRAY) * 255).astype("uint8")
        for x in (after, before)
    ]
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return method.calc(*grey, None)[None]


METHODS = {
    "none": lambda before, after: np.zeros((*after.shape[:3], 2), "float32"),
    "DIS": dis,
    "Lucas-Kanade, half size": LucasKanade(finest=1),
    "Lucas-Kanade": LucasKanade(),
}


def errors(pairs):
    """`{method: error}` of pairs `(clean before, clean after, noisy both)`."""
    warp, found = FlowWarp("border"), {name: [] for name in METHODS}
    for before, after, *noisy in pairs:
        for name, method in METHODS.items():
            moved = warp(before, method(*noisy))
            found[name].append(np.sqrt(np.mean((moved - after) ** 2)))
    return {name: 255 * float(np.mean(each)) for name, each in found.items()}


def scenes(clip, clean, sigma):
    """`(scene, pairs)` of a clip."""
    noisy = add_noise(clean, clip, sigma)
    frames = [t for t in FRAMES if t < len(clean)]
    yield (
        "clip",
        [
            (clean[t - 1 : t], clean[t : t + 1], noisy[t - 1 : t], noisy[t : t + 1])
            for t in frames
        ],
    )
    random, pairs = generator(f"{clip} still"), []
    for t in frames:
        frame = clean[t : t + 1]
        noise = random.standard_normal(frame.shape, dtype="float32") * sigma / 255
        pairs.append((frame, frame, frame + noise, noisy[t : t + 1]))
    yield "still", pairs


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--clips", required=True, help="folder of clean clips")
    add("--sigma", type=float, nargs="+", default=[30.0], help="of 255 (%(default)s)")
    add("--out", help="CSV file to write")
    options = parser.parse_args(arguments)
    rows = []
    for path in list_videos(options.clips):
        clip = Path(path).stem
        clean = read(path, FRAMES[-1] + 1)
        if len(clean) <= FRAMES[0]:
            print(f"{clip} has {len(clean)} frames, too few: left out")
            continue
        for sigma in options.sigma:
            for scene, pairs in scenes(clip, clean, sigma):
                found = errors(pairs)
                for method, error in found.items():
                    row = (clip, scene, sigma, method, error)
                    rows.append(dict(zip(COLUMNS, row, strict=True)))
                words = "  ".join(f"{name} {e:.1f}" for name, e in found.items())
                print(f"{clip:24} {scene:5} sigma {sigma:g}: {words}", flush=True)
    write_csv(options.out, COLUMNS, rows)


if __name__ == "__main__":
    main()
