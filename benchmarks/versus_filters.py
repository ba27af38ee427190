"""Quality and speed of zoo entries beside FFmpeg's denoisers.

Measured: PSNR and SSIM in RGB, clipped to [0, 1], of the frames --frames (counted from
0; default 6 and 20, so that temporal filters have settled; the last frame of a clip
that has none of them), the mean per clip and over all clips; seconds per frame.
Noise: "10", "30", "50": Gaussian noise of that sigma / 255, added in float, the same as
in denoise_psnr.py. "crf16", "crf24": a camera's noise (`degradations.camera`: shot
noise and read noise in linear light, about 12 of 255 at mid grey before coding,
exposure 1, H.264 with 4:2:0 chroma at that crf). The frames up to 8 after the last
measured one are coded as one video; with camera noise the target is what the camera
gives without noise.
Filters: hqdn3d, nlmeans, fftdnoiz, bm3d, vaguedenoiser, through PyAV; those that this
build of PyAV lacks are named and left out. They get 8-bit frames, clipped, as yuv444p
(BT.601, full range) or gbrp. The strength, and which of the two formats, give the
highest mean PSNR over the clips of --tune, at the first measured frame, by a search on
a geometric grid. Options that are not tuned keep FFmpeg's defaults, but for fftdnoiz
(one frame before and one after) and bm3d (both stages; groups of one block, since
larger ones took six times as long and were no better). --bm3d adds BM3D frame by frame
(Python package `bm3d`, slow), on float frames.
Models: as loaded and in --dtypes, on float frames that are not clipped (--eight-bit:
on the frames that the filters get). A model with a noise map, and BM3D, are told the
sigma of Gaussian noise; for camera noise the level is tuned as the filters' strength.
Time: filters in --threads threads, without conversion to and from RGB; models through
`step`; all interleaved, on frames of the first clip. The median over --rounds.
Required: nothing. --out F.json also writes F.csv (every frame) and F.png (a plot).

    python benchmarks/versus_filters.py --clips FOLDER --tune FOLDER [--out F.json]
"""

import argparse
import importlib.util
import itertools
from pathlib import Path
from typing import NamedTuple

import av
import common
import keras
import numpy as np
from av.video.reformatter import VideoReformatter
from denoise_psnr import add_noise, frame_by_frame, generator, read, restored, told
from matplotlib.figure import Figure

from stablevid_tf import metrics, zoo
from stablevid_tf.cli.noise import takes_level
from stablevid_tf.data.degradations import camera
from stablevid_tf.data.images_convert import to_uint8
from stablevid_tf.data.list_videos import list_videos
from stablevid_tf.data.video_colour import SMPTE170M, VideoColour, from_rgb, to_rgb

COLOUR = VideoColour(SMPTE170M, 2)
# What a buffer source is told of the frames.
FORMATS = {
    "yuv444p": "colorspace=smpte170m:range=pc",
    "gbrp": "colorspace=gbr:range=pc",
}
NOISES = ("10", "30", "50", "crf16", "crf24")
CAMERA = {
    "exposure": 1,
    "photons": 225,
    "read": 3,
    "black": 0.0625,
    "red_gain": 2.0,
    "blue_gain": 1.8,
    "demosaic": "malvar",
    "resize": 1,
    "luma_blur": 0,
    "chroma_blur": 0,
    "sharpen": 0,
    "preset": "fast",
}
# Where tuning begins for camera noise, of 255.
CAMERA_SIGMA = 12.0
# Steps of the grids that strengths and noise levels are tuned on.
COARSE, FINE = 1.5, 1.5 ** (1 / 3)
# Frames read after the last measured one: for codecs, and models that look ahead.
AFTER = 8
# Its name beside FFmpeg's own bm3d.
BM3D = "BM3D (Python)"
COLUMNS = ("method", "dtype", "noise", "clip", "frame", "settings", "psnr", "ssim")


class Denoiser(NamedTuple):
    """One of FFmpeg's filters that denoise.

    Attributes:
        add: `add(graph, source, strength)` appends it to a graph and returns its end.
        start: the strength at which tuning begins, as a multiple of sigma.
        limits: the lowest and highest strength.
        before: frames before the restored one that it looks at; None: all.
        after: frames after it, alike.
        formats: the pixel formats to choose from.
    """

    add: object
    start: float
    limits: tuple
    before: int | None = 0
    after: int = 0
    formats: tuple = tuple(FORMATS)


def plain(name, options=""):
    """How to add a filter with one input and `{}` for its strength."""

    def add(graph, source, strength):
        end = graph.add(name, options.format(f"{strength:.4g}"))
        source.link_to(end)
        return end

    return add


def add_bm3d(graph, source, strength):
    """The basic estimate, then the final one that refers to it."""
    options = f"sigma={strength:.4g}:block=16:bstep=4:group=1"
    split = graph.add("split")
    basic = graph.add("bm3d", f"{options}:estim=basic")
    final = graph.add("bm3d", f"{options}:estim=final:ref=1")
    source.link_to(split)
    split.link_to(basic, 0, 0)
    split.link_to(final, 1, 0)
    basic.link_to(final, 0, 1)
    return final


# hqdn3d takes no RGB; its other strengths follow from the first.
FILTERS = {
    "hqdn3d": Denoiser(
        plain("hqdn3d", "luma_spatial={}"), 0.4, (0.1, 255), None, 0, ("yuv444p",)
    ),
    "nlmeans": Denoiser(plain("nlmeans", "s={}"), 0.45, (1, 30)),
    "fftdnoiz": Denoiser(
        plain("fftdnoiz", "sigma={}:prev=1:next=1"), 2, (0.1, 100), 1, 1
    ),
    "bm3d": Denoiser(add_bm3d, 4, (0.1, 9999)),
    "vaguedenoiser": Denoiser(plain("vaguedenoiser", "threshold={}"), 0.5, (0.1, 999)),
}


def to_frames(images, pixel_format):
    """PyAV frames of float images, clipped and rounded to 8 bits, in order."""
    reformatter, frames = VideoReformatter(), []
    for time, image in enumerate(images):
        pixels = to_uint8(image, time)
        frames.append(from_rgb(pixels, COLOUR, pixel_format, reformatter))
        frames[-1].pts = time
    return frames


def to_images(frames):
    """[T, H, W, 3] float32 in [0, 1] of PyAV frames."""
    reformatter = VideoReformatter()
    images = [to_rgb(frame, COLOUR, reformatter) for frame in frames]
    return np.stack(images).astype("float32") / 255


def run_graph(frames, add, strength, threads=2):
    """The frames that a filter makes of PyAV frames."""
    first, graph, out = frames[0], av.filter.Graph(), []
    graph.threads = threads
    source = graph.add(
        "buffer",
        f"video_size={first.width}x{first.height}:pix_fmt={first.format.name}:"
        f"time_base=1/25:pixel_aspect=1/1:{FORMATS[first.format.name]}",
    )
    add(graph, source, strength).link_to(end := graph.add("buffersink"))
    graph.configure()
    for frame in (*frames, None):
        graph.vpush(frame)
        while True:
            try:
                out.append(end.pull())
            except (av.BlockingIOError, av.EOFError):
                break
    return out


def filtered(denoiser, noisy, t, pixel_format, strength, threads=2):
    """Frame `t` of a clip by a filter that is shown no more frames than it needs."""
    first = 0 if denoiser.before is None else max(0, t - denoiser.before)
    frames = to_frames(noisy[first : t + denoiser.after + 1], pixel_format)
    return to_images(run_graph(frames, denoiser.add, strength, threads))[t - first]


def by_bm3d(image, sigma, threads=2):
    """A frame by the Python package `bm3d`."""
    import bm3d

    profile = bm3d.BM3DProfile()
    profile.num_threads = threads
    return bm3d.bm3d_rgb(image.astype("float64"), sigma / 255, profile)


def degraded(clean, clip, noise):
    """`(noisy, target)` of a clip."""
    if noise.startswith("crf"):
        crf = int(noise.removeprefix("crf"))
        random = generator(clip)
        return camera(clean, random, codec="h264", crf=crf, **CAMERA)
    return add_noise(clean, clip, float(noise)), clean


def sigma_of(noise):
    """Roughly how strong a noise is, of 255."""
    return CAMERA_SIGMA if noise.startswith("crf") else float(noise)


def measured(frames, length):
    """Those of the frames that a clip has; if none, its last."""
    return [t for t in frames if t < length] or [length - 1]


class Method(NamedTuple):
    """A way to denoise, with its settings for one noise.

    Attributes:
        restore: `restore(noisy, frames)` gives `{t: image}`.
        settings: in words.
        scores: what tuning tried.
    """

    restore: object
    settings: str = ""
    scores: dict = {}


def mean_psnr(restore, pairs, frames):
    """Mean PSNR at the first measured frame of clips `(noisy, target)`."""
    found = []
    for noisy, target in pairs:
        t = measured(frames, len(target))[0]
        found.append(common.psnr(restore(noisy, [t])[t], target[t]))
    return float(np.mean(found))


def tuned_filter(name, noise, pairs, options):
    """A `Method` with the format and the strength that suit the clips best.

    Returns also `(format, strength)`.
    """
    denoiser, scores = FILTERS[name], {}

    def restorer(pixel_format, strength):
        return lambda noisy, wanted: {
            t: filtered(denoiser, noisy, t, pixel_format, strength, options.threads)
            for t in wanted
        }

    def search(pixel_format, start, factor):
        """`(PSNR, format, strength)` of the best strength."""

        def score(strength):
            return mean_psnr(restorer(pixel_format, strength), pairs, options.frames)

        best, tried = common.climb(score, start, denoiser.limits, factor)
        scores.update({f"{pixel_format} {x:.4g}": y for x, y in tried.items()})
        return tried[best], pixel_format, best

    start = denoiser.start * sigma_of(noise)
    _, *coarse = max(search(x, start, COARSE) for x in denoiser.formats)
    _, pixel_format, strength = search(*coarse, FINE)
    words = f"{pixel_format}, strength {strength:.3g}"
    if strength in denoiser.limits:
        words += " (its limit)"
    method = Method(restorer(pixel_format, strength), words, scores)
    return method, (pixel_format, strength)


def tuned_level(restorer, noise, pairs, options):
    """A `Method` that is told the noise level: the true one, or one that is tuned.

    Args:
        restorer: `restorer(sigma)` gives a `restore`.
    """
    sigma, scores = sigma_of(noise), {}
    if noise.startswith("crf"):

        def score(level):
            return mean_psnr(restorer(level), pairs, options.frames)

        sigma, scores = common.climb(score, sigma, (0.5, 255), FINE**2)
    return Method(restorer(sigma), f"told {sigma:.3g}", scores), sigma


class Models:
    """The entries in every dtype, and how they restore."""

    def __init__(self, options):
        self.eight_bit = options.eight_bit
        self.loaded = {
            (name, dtype): frame_by_frame(zoo.load(name, dtype=dtype), name)
            for name in options.models
            for dtype in options.dtypes
        }

    def restorer(self, key):
        """`restorer(sigma)` of a model."""

        def restorer(sigma):
            model = told(self.loaded[key], sigma)

            def restore(noisy, wanted):
                if self.eight_bit:
                    noisy = np.round(255 * np.clip(noisy, 0, 1)) / np.float32(255)
                return restored(model, noisy, wanted)

            return restore

        return restorer

    def methods(self, noise, pairs, options):
        """`{(name, dtype): Method}`; the level is tuned in the first dtype."""
        found, levels = {}, {}
        for key, model in self.loaded.items():
            name, make = key[0], self.restorer(key)
            if not takes_level(model):
                found[key] = Method(make(None))
            elif name in levels:
                level = levels[name]
                found[key] = Method(make(level), f"told {level:.3g}")
            else:
                found[key], levels[name] = tuned_level(make, noise, pairs, options)
        return found


def measure(methods, noise, clips, options):
    """Rows of all methods on all clips with one noise."""
    rows = []
    for clip, clean in clips.items():
        noisy, target = degraded(clean, clip, noise)
        for (name, dtype), method in methods.items():
            wanted = measured(options.frames, len(clean))
            for t, image in sorted(method.restore(noisy, wanted).items()):
                image = np.clip(image, 0, 1).astype("float32")
                psnr = round(float(common.psnr(image, target[t])), 3)
                ssim = round(float(metrics.ssim(image, target[t])), 4)
                cells = (name, dtype, noise, clip, t, method.settings, psnr, ssim)
                rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def stepping(model, noisy, count):
    """A function that restores so many frames through `step`."""
    frames = itertools.islice(itertools.cycle(noisy), count)
    frames = [keras.ops.convert_to_tensor(frame[None]) for frame in frames]
    start = model.initial_state(frames[0])

    def run():
        state = start
        for frame in frames:
            out, state = model.step(frame, state)
            keras.ops.convert_to_numpy(out)

    return run


def seconds_per_frame(settings, models, clean, clip, options):
    """`{(name, dtype): seconds per frame, one per round}`."""
    count = options.time_frames
    noisy, _ = degraded(clean, clip, options.noise[0])
    sigma = sigma_of(options.noise[0])
    functions = {}
    for name, (pixel_format, strength) in settings.items():
        frames = to_frames(
            itertools.islice(itertools.cycle(noisy), count), pixel_format
        )
        functions[name, ""] = lambda frames=frames, name=name, strength=strength: (
            run_graph(frames, FILTERS[name].add, strength, options.threads)
        )
    for key, model in models.loaded.items():
        functions[key] = stepping(told(model, sigma), noisy, count)
    if options.bm3d:
        functions[BM3D, ""] = lambda: by_bm3d(noisy[0], sigma, options.threads)
    # Random draws of names need plain strings.
    took = common.interleave(
        {" ".join(key): function for key, function in functions.items()},
        options.rounds,
    )
    counts = {key: 1 if key[0] == BM3D else count for key in functions}
    return {key: took[" ".join(key)] / counts[key] for key in functions}


def overall(rows):
    """`{(method, dtype, noise): {"psnr", "ssim", "clips"}}`; means of clips."""
    found = {}
    for row in rows:
        key = tuple(row[c] for c in ("method", "dtype", "noise"))
        found.setdefault(key, {}).setdefault(row["clip"], []).append(row)
    result = {}
    for key, clips in found.items():
        means = {
            clip: {m: float(np.mean([r[m] for r in of])) for m in ("psnr", "ssim")}
            for clip, of in clips.items()
        }
        result[key] = {
            m: float(np.mean([one[m] for one in means.values()]))
            for m in ("psnr", "ssim")
        } | {"clips": means}
    return result


def plot(path, quality, seconds, noises, words):
    """A panel per noise: PSNR against milliseconds per frame, labels on the right."""
    columns = min(3, len(noises))
    rows = -(-len(noises) // columns)
    figure = Figure((5.2 * columns, 3.9 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in axes[len(noises) :]:
        panel.set_axis_off()
    times = {key: 1e3 * float(np.median(took)) for key, took in seconds.items()}
    for panel, noise in zip(axes, noises, strict=False):
        levels = {key: quality[*key, noise]["psnr"] for key in times}
        draw(panel, times, levels, quality["noisy", "", noise]["psnr"])
        panel.set_title(title(noise), fontsize=10)
    figure.suptitle(words, fontsize=9)
    figure.savefig(path, dpi=110)
    print(f"written: {path}")


def draw(panel, times, levels, noisy):
    """One panel: a point per method and dtype, one label per method."""
    low, high = min(*levels.values(), noisy), max(*levels.values(), noisy)
    room = 0.06 * max(high - low, 1)
    left, right = min(times.values()) / 2, max(times.values()) * 2
    panel.set(xscale="log", xlim=(left, right), ylim=(low - room, high + room))
    panel.set(xlabel="milliseconds per frame", ylabel="PSNR, dB")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.grid(alpha=0.25)
    panel.axhline(noisy, color="0.5", linestyle="--", linewidth=1)
    tips, colours = {"noisy": (right, noisy)}, ["0.4"]
    for number, name in enumerate(dict.fromkeys(name for name, _ in times)):
        points = {
            dtype: (times[name, dtype], levels[name, dtype])
            for of, dtype in times
            if of == name
        }
        colours.append(f"C{number}")
        panel.plot(*zip(*points.values(), strict=True), colours[-1], linewidth=1)
        for dtype, point in points.items():
            panel.plot(
                *point,
                color=colours[-1],
                marker="o" if dtype else "s",
                fillstyle="none" if dtype.endswith("16") else "full",
            )
        tips[name] = max(points.values())
    common.label(panel, tips, colours)


def title(noise):
    """A noise in words."""
    if noise.startswith("crf"):
        return f"camera noise, H.264 crf {noise.removeprefix('crf')}"
    return f"Gaussian noise, sigma {noise}"


def read_all(paths, frames):
    """`{name: clip}` of the frames that the benchmark looks at."""
    clips = {}
    for path in paths:
        name = Path(path).stem
        if name in clips:
            raise SystemExit(f"Two clips are called {name}. Give one of them")
        clips[name] = read(path, max(frames) + 1 + AFTER)
    return clips


def noise_name(text):
    """A noise's name; checked."""
    coded = text.startswith("crf")
    try:
        number = int(text.removeprefix("crf")) if coded else float(text)
    except ValueError:
        number = 0
    if not 0 < number <= (51 if coded else 255):
        raise argparse.ArgumentTypeError(
            f"noise is a sigma up to 255, or crf1 to crf51. Received: {text}"
        )
    return text


def limit_threads(threads):
    """Make TensorFlow use so many threads for an operation; before its first one."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)


def parse():
    parser = common.arguments(__doc__, threads=2, rounds=5, time_frames=6)
    parser.add_argument("--clips", nargs="+", required=True, help="folders or videos")
    parser.add_argument(
        "--tune", nargs="+", required=True, help="other folders or videos, for tuning"
    )
    parser.add_argument(
        "--frames",
        nargs="+",
        type=int,
        default=[6, 20],
        help="frames to measure, counted from 0. Default: 6 20",
    )
    parser.add_argument(
        "--noise",
        nargs="+",
        type=noise_name,
        default=list(NOISES),
        metavar="NOISE",
        help="a sigma in units of 255, or crf1 to crf51. Default: 10 30 50 crf16 crf24",
    )
    parser.add_argument("--filters", nargs="*", choices=FILTERS, default=list(FILTERS))
    parser.add_argument(
        "--models",
        nargs="*",
        default=["tiny", "vresnet_feat_srnc", "vresnet_feat_srnc_map"],
        help="entries of the zoo",
    )
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", "mixed_bfloat16"], help="of models"
    )
    parser.add_argument("--bm3d", action="store_true", help="BM3D, frame by frame, too")
    parser.add_argument(
        "--eight-bit", action="store_true", help="models get 8-bit frames too"
    )
    return parser.parse_args()


def main():
    options = parse()
    if options.bm3d and importlib.util.find_spec("bm3d") is None:
        raise SystemExit("--bm3d needs the package bm3d: pip install bm3d")
    limit_threads(options.threads)
    paths, tuning = list_videos(options.clips), list_videos(options.tune)
    both = {Path(p).resolve() for p in paths} & {Path(p).resolve() for p in tuning}
    if both:
        raise SystemExit(
            f"{min(both)} is in --clips and in --tune. Tune on other clips"
        )
    missing = [n for n in options.filters if n not in av.filter.filters_available]
    present = [n for n in options.filters if n not in missing]
    if missing:
        print(
            f"missing in this build of PyAV (FFmpeg {av.ffmpeg_version_info}), left "
            f"out: {', '.join(missing)}"
        )
    models = Models(options)
    clips = read_all(paths, options.frames)
    tuning = read_all(tuning, options.frames)
    rows, settings, tried, timed = [], {}, {}, {}
    for noise in options.noise:
        pairs = [degraded(clean, name, noise) for name, clean in tuning.items()]
        methods = {("noisy", ""): Method(lambda x, wanted: {t: x[t] for t in wanted})}
        for name in present:
            methods[name, ""], chosen = tuned_filter(name, noise, pairs, options)
            # Timed with the settings for the first noise.
            timed.setdefault(name, chosen)
        if options.bm3d:
            methods[BM3D, ""], _ = tuned_level(
                lambda sigma: (
                    lambda noisy, wanted: {
                        t: by_bm3d(noisy[t], sigma, options.threads) for t in wanted
                    }
                ),
                noise,
                pairs,
                options,
            )
        methods |= models.methods(noise, pairs, options)
        for key, method in methods.items():
            settings[*key, noise] = method.settings
            if method.scores:
                tried[" ".join((*key, noise)).replace("  ", " ")] = method.scores
        rows += measure(methods, noise, clips, options)
        print(f"{title(noise)}: measured", flush=True)
    first = next(iter(clips))
    seconds = seconds_per_frame(timed, models, clips[first], first, options)
    report(rows, settings, tried, seconds, clips, missing, options)


def report(rows, settings, tried, seconds, clips, missing, options):
    """Print the table; write the files."""
    quality, lines, figures = overall(rows), [], []
    for (name, dtype, noise), found in quality.items():
        took = seconds.get((name, dtype))
        chosen = settings[name, dtype, noise]
        lines.append(
            (
                f"{name} {dtype}".strip(),
                noise,
                f"{found['psnr']:.2f}",
                f"{found['ssim']:.4f}",
                "" if took is None else f"{1e3 * np.median(took):.1f}",
                chosen,
            )
        )
        key = {"method": name, "dtype": dtype, "noise": noise, "settings": chosen}
        figures.append(key | found)
    common.table(("method", "noise", "PSNR", "SSIM", "ms/frame", "settings"), lines)
    if not options.out:
        return
    out = Path(options.out)
    height, width = next(iter(clips.values())).shape[1:3]
    common.write(
        out,
        options=vars(options),
        missing=missing,
        camera=CAMERA,
        timed_at=f"{width}x{height}",
        seconds={" ".join(key).strip(): list(took) for key, took in seconds.items()},
        figures=figures,
        tried=tried,
    )
    common.write_csv(out.with_suffix(".csv"), COLUMNS, rows)
    words = (
        f"Clips: {len(clips)}. Measured frames: {', '.join(map(str, options.frames))}. "
        f"Time at {width}x{height}, {options.threads} threads. Squares: filters. "
        "Circles: models, filled in float32, hollow in mixed_bfloat16."
    )
    if missing:
        words += f"\nMissing in this build of PyAV: {', '.join(missing)}."
    plot(out.with_suffix(".png"), quality, seconds, options.noise, words)


if __name__ == "__main__":
    main()
