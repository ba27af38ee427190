"""Super-resolution trained two ways: clips from zero states, and from long videos' own.

    python examples/bptt.py my_clips --test long_video.mp4 --out bptt.png

Trains the same network twice at an equal cost, with random-initialisation BPTT and
with partial-initialisation BPTT (Mori and Ukita, "Time-series Initialization and
Conditioning for Video-agnostic Stabilization of Video Super-Resolution using Recurrent
Networks"), and plots the PSNR of every frame of a long video, played forwards and
backwards, and of its first frame standing still.
"""

import argparse
import itertools

import keras
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from stablevid_tf import data, metrics, models, streaming, training
from stablevid_tf.data import sequences
from stablevid_tf.losses import Charbonnier


def small(clean, random=None):
    """The paper's degradation: Gaussian of sigma 1.5, then every fourth pixel."""
    for axis in (1, 2):
        clean = gaussian_filter1d(clean, 1.5, axis=axis, mode="mirror")
    return clean[:, ::4, ::4]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of clean videos")
    parser.add_argument("--test", required=True, help="a video that is not in it")
    parser.add_argument("--out", default="bptt.png")
    parser.add_argument("--architecture", default="rlsp", help="that enlarges by 4")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--size", type=int, default=64, help="of the crops, in pixels")
    parser.add_argument("--frames", type=int, default=15, help="of a clip")
    parser.add_argument("--length", type=int, default=60, help="of a video, at most")
    parser.add_argument("--reuse", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--test-size", type=int, default=128)
    parser.add_argument("--test-frames", type=int, default=400)
    args = parser.parse_args(argv)

    source = data.ClipDataset(args.folder, frames=args.frames, size=args.size)
    videos = [video[: args.length] for video in source.videos]
    options = {"frames": args.frames, "size": args.size, "degrade": small}
    trained = {}
    for name in ("partial", "random"):
        keras.utils.set_random_seed(0)
        model = models.build(args.architecture, features=args.features)
        clips = training.PIBPTT(
            model, videos, reuse=args.reuse, dtype="float16", **options
        )
        if name == "random":
            # Equal cost: a step is three times its frames forward.
            length = np.mean([len(video) for video in clips.videos])
            cost = 1 + length / (3 * args.frames * args.reuse)
            steps = round(cost * len(clips))
            clips = training.RandomInit(model, videos, steps=steps, **options)
        rate = keras.optimizers.schedules.CosineDecay(1e-3, args.epochs * len(clips))
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
        model.compile(optimizer, Charbonnier(), jit_compile=False)
        model.fit(clips, epochs=args.epochs, verbose=2)
        if name == "partial":
            print(f"states: {clips.cost}")
        trained[name] = model

    panels = {}
    figure = Figure(figsize=(8, 6), layout="constrained")
    clip = test_clip(args)
    tests = {
        "forwards and backwards": sequences.ping_pong(clip, args.test_frames),
        "its first frame, standing still": sequences.still(clip[0], args.test_frames),
    }
    for axes, (title, frames) in zip(figure.subplots(2), tests.items(), strict=True):
        truth = np.stack(list(frames))
        for name, model in trained.items():
            restored = streaming.restore(model, small(truth))
            quality = np.array(
                [
                    float(metrics.psnr(image[None], clean[None], y=True)[0])
                    for image, clean in zip(restored, truth, strict=True)
                ]
            )
            print(
                f"{title}, {name}: {quality[:15].mean():.2f} dB in the first 15 "
                f"frames, {quality[-15:].mean():.2f} dB in the last"
            )
            number = 1 + np.arange(len(quality))
            axes.plot(number, quality, label=f"{name} initialisation")
            panels[title, name] = quality
        axes.set(title=title, ylabel="PSNR of Y, dB")
        axes.grid(alpha=0.3)
    axes.set_xlabel("frame")
    axes.legend()
    figure.savefig(args.out, dpi=120)
    return panels


def test_clip(args):
    """The middle of the test video: float32 [T, size, size, 3] in [0, 1]."""
    with data.open_video(args.test) as video:
        frames = [frame.image for frame in itertools.islice(video, args.test_frames)]
    height, width = (n - args.test_size for n in frames[0].shape[:2])
    top, left = height // 2, width // 2
    side = slice(top, top + args.test_size), slice(left, left + args.test_size)
    return np.stack([frame[side] for frame in frames]).astype("float32") / 255


if __name__ == "__main__":
    main()
