"""Adds noise to a video, restores it, and shows what was gained.

    make demo                        # a camera moving over three photographs
    make demo VIDEO=holiday.mp4      # a video of yours, with noise for a reference
    make demo VIDEO=dark.mp4 NOISE=0 # a video of yours as it is, without PSNR

or `python examples/demo.py --help`. It leaves in `demo/`: `noisy.mp4` and
`restored.mp4`; `comparison.png`, the last frame before and after with a detail of it;
`psnr.png`, the PSNR of each frame (of pictures clipped to [0, 1], as they are seen).
Memory does not grow with the video's length.
"""

import argparse
import collections
import contextlib
import dataclasses
import itertools
import os
import sys
import time
import warnings
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Folding takes norms of many small matrices: threads would wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.ndimage import gaussian_filter

from stablevid_tf import zoo
from stablevid_tf.cli.load_model import load_model, noise_of
from stablevid_tf.cli.no_chatter import no_chatter
from stablevid_tf.data import VideoFrame, VideoInfo, create_video, open_video
from stablevid_tf.data.video_colour import BT709, VideoColour

with no_chatter():  # TensorFlow, as it is imported
    from stablevid_tf.cli.noise import at_noise, measured_noise, takes_level

# Of the noise that is added, in units of 255.
SIGMA = 30.0
# Inside scikit-image's wheel; how far across and down the frame lies.
PHOTOGRAPHS = (("astronaut", 0.5, 0.05), ("coffee", 0.5, 0.5), ("chelsea", 0.5, 0.5))
FRAMES, WIDTH, HEIGHT = 36, 416, 240


def main(argv=None):
    """Runs the demo; errors are said in one line."""
    options = _parser().parse_args(argv)
    try:
        _run(options)
    except (OSError, ValueError, LookupError, ImportError, MemoryError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        sys.exit(f"demo: {' '.join(str(text).split())}")
    except KeyboardInterrupt:
        sys.exit("demo: interrupted")


def _parser():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="Files in the output folder are replaced.",
    )
    parser.add_argument("--video", help="a file of yours, or a folder of images")
    parser.add_argument(
        "--noise",
        type=_sigma,
        default=SIGMA,
        help="sigma of the noise added, in units of 255 (30); 0 adds none",
    )
    parser.add_argument(
        "--model",
        help="an entry of the zoo, a folder with one, or a .keras file (default: the "
        "zoo's for denoising)",
    )
    parser.add_argument("--frames", type=_count, help="restore no more than these")
    parser.add_argument("--out", default="demo", help="output folder (demo)")
    return parser


def _sigma(text):
    value = float(text)
    if not 0 <= value <= 255:
        raise argparse.ArgumentTypeError(f"0 to 255, in units of 255; received {text}")
    return value


def _count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1; received {text}")
    return value


def _run(options):
    sigma, out = options.noise, Path(options.out)
    with contextlib.ExitStack() as stack:
        info, frames, cuts = _source(options, stack)
        name = options.model or zoo.default("denoising")
        model = load_model(name)
        if model.scale != 1 or model.channels != 3:
            raise ValueError(
                f"the demo restores colour at scale 1; {name} has "
                f"{model.channels} channels and scale {model.scale}"
            )
        print(
            f"{options.video or 'photographs'}: {info.width}x{info.height}, "
            + (f"noise of sigma {sigma:g}/255" if sigma else "no noise added")
            + f", model {name}",
            flush=True,
        )
        model = _for_noise(model, name, sigma, options.video)
        out.mkdir(parents=True, exist_ok=True)
        videos = [out / "noisy.mp4"] if sigma else []
        videos.append(out / "restored.mp4")
        writers = [
            stack.enter_context(create_video(path, info, overwrite=True))
            for path in videos
        ]
        result = _restore(model, frames, sigma, writers, info.frames)
    pictures = [_comparison(result, out / "comparison.png")]
    if sigma:
        pictures.append(_plot(result, cuts, out / "psnr.png"))
    _report(result)
    print("wrote", *videos, *pictures)


def _for_noise(model, name, sigma, video):
    """The model, told of the noise that is added; where none is, of the video's own."""
    trained_for, measured = noise_of(name), sigma
    if video and not sigma and (trained_for or takes_level(model)):
        measured = measured_noise(video)
    said = sigma if sigma and takes_level(model) else None
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        model = at_noise(model, trained_for, measured, said, None)
    for note in notes:
        print(f"demo: note: {note.message}", file=sys.stderr)
    return model


def _source(options, stack):
    """What is known of the video, its frames, and the frames where a shot begins."""
    if options.video is None:
        count = options.frames or FRAMES
        return _info(count), _pan(count), range(0, count, _shot(count))[1:]
    video = stack.enter_context(open_video(options.video))
    if options.frames is None:
        return video.info, video, ()
    count = min(options.frames, video.info.frames or options.frames)
    info = dataclasses.replace(video.info, frames=count, sound=None)
    return info, itertools.islice(video, options.frames), ()


def _info(count):
    return VideoInfo(
        width=WIDTH,
        height=HEIGHT,
        frames=count,
        rate=Fraction(12),
        time_base=Fraction(1, 12),
        aspect=None,
        colour=VideoColour(BT709, 1),
        chroma="420",
    )


def _shot(count):
    return -(-count // len(PHOTOGRAPHS))


def _pan(count):
    """A camera on a circle over each photograph, 1.25 pixels a frame."""
    import skimage.data
    from PIL import Image

    for t in range(count):
        name, across, down = PHOTOGRAPHS[t // _shot(count)]
        photograph = Image.fromarray(getattr(skimage.data, name)())
        left = (photograph.width - WIDTH) * across + 10 * np.cos(t / 8)
        top = (photograph.height - HEIGHT) * down + 10 * np.sin(t / 8)
        # Fractions of a pixel: bicubic interpolation.
        image = photograph.resize(
            (WIDTH, HEIGHT), Image.BICUBIC, (left, top, left + WIDTH, top + HEIGHT)
        )
        yield VideoFrame(np.asarray(image), t, 1)


@dataclasses.dataclass
class Result:
    """What the report, the picture and the plot need: no frame but the last."""

    before: list[float] = dataclasses.field(default_factory=list)
    after: list[float] = dataclasses.field(default_factory=list)
    last: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    frames: int = 0
    rate: float = float("nan")


def _restore(model, frames, sigma, writers, total):
    from tqdm import tqdm

    from stablevid_tf import streaming

    result, waiting = Result(), collections.deque()
    seen = _noisy(frames, sigma, waiting)
    bar = tqdm(streaming.restore(model, seen), total=total, unit=" frames")
    for restored in bar:
        if not result.frames:
            start = time.perf_counter()
        result.frames += 1
        frame, clean, noisy = waiting.popleft()
        # As a video holds them, and a viewer sees them.
        noisy, restored = np.clip(noisy, 0, 1), np.clip(restored, 0, 1)
        images = [noisy, restored] if sigma else [restored]
        for writer, image in zip(writers, images, strict=True):
            writer.write(image, frame.time, frame.duration)
        if sigma:
            result.before.append(_psnr(clean, noisy))
            result.after.append(_psnr(clean, restored))
            result.last = {"noisy": noisy, "restored": restored, "original": clean}
        else:
            result.last = {"before": noisy, "after": restored}
    if result.frames > 1:
        result.rate = (result.frames - 1) / (time.perf_counter() - start)
    return result


def _noisy(frames, sigma, waiting):
    """The frames as the model sees them: float, not clipped."""
    random = np.random.default_rng(0)
    for frame in frames:
        clean = frame.image.astype("float32") / 255
        noise = random.standard_normal(clean.shape, "float32") if sigma else 0
        noisy = clean + np.float32(sigma / 255) * noise
        waiting.append((frame, clean, noisy))
        yield noisy


def _psnr(a, b):
    from stablevid_tf import metrics

    return float(metrics.psnr(a, b))


def _report(result):
    if result.after:
        before, after = np.array(result.before), np.array(result.after)
        print(
            f"PSNR, mean of {result.frames} frames: noisy {before.mean():.2f} dB, "
            f"restored {after.mean():.2f} dB\n"
            f"PSNR, last frame: noisy {before[-1]:.2f} dB, restored {after[-1]:.2f} dB"
        )
    if result.frames > 1:
        print(
            f"{result.rate:.2f} frames per second, reading and writing included "
            "(the first frame, which sets up the network, not counted)"
        )


def _comparison(result, path):
    """The last frame in each form, above a detail of each."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    images, titles = result.last, dict.fromkeys(result.last, "")
    if result.after:
        titles["noisy"] = f"  {result.before[-1]:.2f} dB"
        titles["restored"] = f"  {result.after[-1]:.2f} dB"
    last = list(images.values())[-1]
    top, left, side = _detail(last)
    height, width = last.shape[:2]
    panel = 5.0
    figure = Figure((panel * len(images), panel * (height / width + 1) + 0.4))
    axes = figure.subplots(
        2, len(images), gridspec_kw={"height_ratios": [height / width, 1]}
    )
    for (upper, lower), (name, image) in zip(axes.T, images.items(), strict=True):
        upper.imshow(image)
        upper.set_title(name + titles[name])
        corner = (left - 0.5, top - 0.5)
        upper.add_patch(Rectangle(corner, side, side, fill=False, color="yellow"))
        lower.imshow(
            image[top : top + side, left : left + side], interpolation="nearest"
        )
        upper.axis("off")
        lower.axis("off")
    figure.tight_layout(pad=0.4)
    figure.savefig(path, dpi=100)
    return path


def _detail(image):
    """The square (top, left, side) with the strongest edges, fine texture aside."""
    grey = gaussian_filter(image.mean(axis=-1), 2)
    side = max(min(*grey.shape, 16), min(grey.shape) // 3)
    change = np.diff(grey, axis=0)[:, :-1] ** 2 + np.diff(grey, axis=1)[:-1] ** 2
    places = itertools.product(
        *(range(0, n - side + 1, max(1, side // 4)) for n in grey.shape)
    )
    top, left = max(
        places, key=lambda p: change[p[0] : p[0] + side, p[1] : p[1] + side].mean()
    )
    return top, left, side


def _plot(result, cuts, path):
    from matplotlib.figure import Figure

    figure = Figure((8, 4.5))
    axes = figure.subplots()
    numbers = range(1, result.frames + 1)
    axes.plot(numbers, result.after, ".-", label="restored")
    axes.plot(numbers, result.before, ".-", label="noisy")
    for i, cut in enumerate(cuts):
        axes.axvline(cut + 0.5, color="0.7", ls=":", label=None if i else "cut")
    axes.set(xlabel="frame", ylabel="PSNR in dB")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    return path


if __name__ == "__main__":
    main()
