from typing import Any

import keras
import numpy as np
from scipy import sparse

from stablevid_tf.data.degradations.degradation import (
    Degradation,
    Range,
    check_clip,
    check_range,
    draw,
)
from stablevid_tf.data.degradations.h264 import PRESETS, check_crf, coded

_DEMOSAICS = ("bilinear", "malvar")
_CODECS = ("h264", "hevc", None)
# The smallest side that a mosaic needs, and that the codecs take.
_SIDE, _CODED_SIDE = 2, 16
# Smaller frames are padded: below 64 pixels x265 (4.2) writes past its buffers, and at
# 64 it reads memory that it has not written.
_HEVC_SIDE = 80
# With mbtree, x264 (165) reads memory that it has not written on processors with
# AVX-512, so that the same clip gives different bits now and then.
_PARAMETERS = {"h264": ["mbtree=0"], "hevc": []}
# The colours of the four places of a mosaic, in the order of `_sites`.
_CHANNELS = (0, 1, 1, 2)
# Red, green and blue in the luma of BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], "float32")
# Standard deviation of the blur that unsharp masking compares with, in pixels.
_SHARPEN = 1.0
# Mean number of photons from which a normal number stands for a Poisson number.
_MANY = 10
# Limits and unit of each setting that is a number.
_RANGES = {
    "exposure": (1e-3, 1, "a share of the sensor's range"),
    "photons": (1, np.inf, "the photons of a full pixel"),
    "read": (0, 1e6, "in photons"),
    "black": (0, 1, "a share of the sensor's range"),
    "red_gain": (0.1, 10, "a factor"),
    "blue_gain": (0.1, 10, "a factor"),
    "resize": (1, 4, "a factor"),
    "luma_blur": (0, 10, "a standard deviation in pixels"),
    "chroma_blur": (0, 10, "a standard deviation in pixels"),
    "sharpen": (0, 5, "a factor"),
    "chance": (0, 1, "a probability"),
}
# Settings that are drawn from a logarithmic scale.
_LOGARITHMIC = ("exposure", "photons")
# Optional stages, and the value that leaves each of them out.
_LEFT_OUT = {"resize": 1.0, "luma_blur": 0.0, "chroma_blur": 0.0, "sharpen": 0.0}


def camera(
    clip: np.ndarray,
    random: np.random.Generator,
    exposure: Range = (0.04, 0.4),
    photons: Range = (1000, 4000),
    read: Range = (1, 4),
    black: Range = 0.0625,
    red_gain: Range = (1.5, 2.4),
    blue_gain: Range = (1.4, 2.2),
    demosaic: str | tuple[str, ...] = ("bilinear", "malvar"),
    resize: Range = (1, 1.6),
    luma_blur: Range = (0.3, 0.7),
    chroma_blur: Range = (0.5, 2),
    sharpen: Range = (0.1, 0.5),
    chance: Range = 0.5,
    codec: str | tuple[str | None, ...] | None = "h264",
    crf: int | tuple[int, int] = (16, 30),
    preset: str | tuple[str, ...] = ("ultrafast", "superfast", "veryfast", "fast"),
) -> tuple[np.ndarray, np.ndarray]:
    """A clip as a camera and a codec would leave it, with noise and without.

    Linear light `l` of a clean sRGB value (IEC 61966-2-1) reaches the sensor as

        x = l e / g,

    with the exposure `e` and the white balance gain `g` of its colour (1 for green). A
    Bayer mosaic keeps one colour in each pixel. The sensor adds shot and read noise
    (Foi et al., 2008):

        y = min(max((Poisson(N x) + r n) / N, -b), 1),    n ~ Normal(0, 1),

    so that the variance of `y` is `x / N + (r / N)^2` where nothing is clipped. From 10
    photons on, a normal number of the same mean, variance and nearly the same skewness
    replaces the Poisson number. The gain `g / e`, demosaicing, the sRGB curve,
    smoothing and the codec follow. The target passes through the same stages without
    noise and without the codec. Both are clipped to [0, 1].

    Every setting that is a pair `(low, high)` is drawn once for the clip: `exposure`
    and `photons` from a logarithmic scale, the others from a linear one. The order of
    the mosaic (RGGB, GRBG, GBRG or BGGR) is drawn too. The noise differs in every
    frame. Two generators in the same state give the same result.

    The default settings give this noise at mid grey (0.5) before the codec: standard
    deviations in units of 255, percentiles of 1,000 clips (measured in November 2026).

    | settings | 5% | 50% | 95% |
    |---|---|---|---|
    | default | 3.2 | 7.5 | 19.8 |
    | `chance=0` (no optional stage) | 4.5 | 9.3 | 24.7 |
    | `chance=0, resize=1.6` | 3.6 | 7.3 | 18.6 |

    Args:
        clip: [T, H, W, 3] in [0, 1]; at least 16 pixels a side with a codec, and 2
            without.
        random: a NumPy generator.
        exposure: `e`, the share of the sensor's range that white fills in green,
            0.001 to 1. A darker exposure is noisier.
        photons: `N`, the photons that fill a pixel of the sensor, 1 or more. `np.inf`
            switches all noise off.
        read: `r`, the standard deviation of the read noise in photons.
        black: `b`, the black level: how far noise can fall below zero before the
            sensor clips it, as a share of its range, 0 to 1.
        red_gain: `g` of red, 0.1 to 10. Below 1, white saturates the sensor.
        blue_gain: `g` of blue, 0.1 to 10.
        demosaic: "bilinear", "malvar" (Malvar, He and Cutler, 2004, on the white
            balanced mosaic), or a tuple of them to draw from.
        resize: the sensor's pixels along one side for each pixel of the clip, 1 to 4.
            Cubic interpolation enlarges the light, and reduces the demosaiced picture
            in linear light. Larger values make finer noise.
        luma_blur: standard deviation of a Gaussian blur of the luma in pixels, 0
            (none) to 10. Blurs act on sRGB values; luma and chroma are those of BT.601.
        chroma_blur: standard deviation of a Gaussian blur of the chroma in pixels, 0
            (none) to 10.
        sharpen: amount of unsharp masking of the luma (standard deviation: 1 pixel), 0
            (none) to 5.
        chance: probability, 0 to 1, that each of `resize`, `luma_blur`, `chroma_blur`
            and `sharpen` is used if it is a pair. A single number is always used.
        codec: "h264" (x264), "hevc" (x265; two to four times as slow), None, or a tuple
            of them to draw from. Colour is coded in 4:2:0.
        crf: constant rate factor: an integer from 0 (best) to 51, or `(low, high)`,
            both included.
        preset: the codec's, from "ultrafast" to "slow", or a tuple of them to draw
            from.

    Returns:
        `(degraded, target)`, float32 [T, H, W, 3] in [0, 1] each.

    Raises:
        ValueError: an argument outside its range, a clip that is not RGB or too small,
            or a codec that PyAV was built without.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data import degradations
        >>> grey, random = np.full((2, 64, 64, 3), 0.5), np.random.default_rng(0)
        >>> noisy, clean = degradations.camera(grey, random, codec=None)
        >>> noisy.shape, clean.shape
        ((2, 64, 64, 3), (2, 64, 64, 3))
        >>> bool(noisy.std() > 0.005 and clean.std() < 1e-6)
        True

    References:
        - [Foi et al., Practical Poissonian-Gaussian Noise Modeling and Fitting for
          Single-Image Raw-Data, 2008](https://doi.org/10.1109/TIP.2008.2001399)
        - [Malvar, He and Cutler, High-Quality Linear Interpolation for Demosaicing of
          Bayer-Patterned Color Images, 2004](
          https://doi.org/10.1109/ICASSP.2004.1326587)
        - [Brooks et al., Unprocessing Images for Learned Raw Denoising, 2019](
          https://arxiv.org/abs/1811.11127): noise added to light that is computed
          from sRGB pictures.
    """
    settings = _checked(
        exposure=exposure,
        photons=photons,
        read=read,
        black=black,
        red_gain=red_gain,
        blue_gain=blue_gain,
        demosaic=demosaic,
        resize=resize,
        luma_blur=luma_blur,
        chroma_blur=chroma_blur,
        sharpen=sharpen,
        chance=chance,
        codec=codec,
        crf=crf,
        preset=preset,
    )
    check_clip(clip)
    _check_size(clip, settings["codec"])
    drawn = _drawn(settings, random)
    codec, crf, preset = (drawn.pop(name) for name in ("codec", "crf", "preset"))
    degraded, target = _filmed(clip, random, **drawn)
    if codec is not None:
        degraded = _coded(degraded, codec, crf, preset)
    return degraded, target


@keras.saving.register_keras_serializable(package="stablevid_tf")
class Camera(Degradation):
    """`camera` as a preprocessing layer; the target is the camera's clean clip.

    Args:
        exposure, photons, read, black, red_gain, blue_gain, demosaic, resize,
            luma_blur, chroma_blur, sharpen, chance, codec, crf, preset: as for
            `camera`. They are drawn for each clip.
        seed, **kwargs: as for `Degradation`.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf.data.degradations import Camera
        >>> noisy, clean = Camera(crf=(20, 30))(np.zeros((3, 32, 48, 3)))
        >>> noisy.shape, clean.shape
        ((3, 32, 48, 3), (3, 32, 48, 3))
    """

    def __init__(
        self,
        exposure: Range = (0.04, 0.4),
        photons: Range = (1000, 4000),
        read: Range = (1, 4),
        black: Range = 0.0625,
        red_gain: Range = (1.5, 2.4),
        blue_gain: Range = (1.4, 2.2),
        demosaic: str | tuple[str, ...] = ("bilinear", "malvar"),
        resize: Range = (1, 1.6),
        luma_blur: Range = (0.3, 0.7),
        chroma_blur: Range = (0.5, 2),
        sharpen: Range = (0.1, 0.5),
        chance: Range = 0.5,
        codec: str | tuple[str | None, ...] | None = "h264",
        crf: int | tuple[int, int] = (16, 30),
        preset: str | tuple[str, ...] = ("ultrafast", "superfast", "veryfast", "fast"),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        settings = _checked(
            exposure=exposure,
            photons=photons,
            read=read,
            black=black,
            red_gain=red_gain,
            blue_gain=blue_gain,
            demosaic=demosaic,
            resize=resize,
            luma_blur=luma_blur,
            chroma_blur=chroma_blur,
            sharpen=sharpen,
            chance=chance,
            codec=codec,
            crf=crf,
            preset=preset,
        )
        for name, value in settings.items():
            setattr(self, name, value)
        self._names = tuple(settings)

    def degrade(
        self, clip: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        settings = {name: getattr(self, name) for name in self._names}
        return camera(clip, random, **settings)

    def get_config(self) -> dict[str, Any]:
        settings = {name: list(getattr(self, name)) for name in self._names}
        return super().get_config() | settings


def _checked(demosaic, codec, crf, preset, **ranges):
    """Every setting as a tuple: (low, high), or the choices."""
    low, *middle, high = (crf, crf) if np.isscalar(crf) else crf
    if middle:
        raise ValueError(f"crf is one number or (low, high). Received: {crf!r}")
    check_crf(low, high)
    numbers = {name: check_range(name, ranges[name], *_RANGES[name]) for name in ranges}
    if np.isinf(numbers["photons"]).sum() == 1:
        raise ValueError(
            "photons is drawn between two finite numbers; one number, `np.inf`, "
            f"switches the noise off. Received: {ranges['photons']!r}"
        )
    return numbers | {
        "demosaic": _choices("demosaic", demosaic, _DEMOSAICS),
        "codec": _choices("codec", codec, _CODECS),
        "crf": (low, high),
        "preset": _choices("preset", preset, PRESETS),
    }


def _choices(name, value, allowed):
    one = value is None or isinstance(value, str)
    choices = (value,) if one else tuple(value)
    if not choices or any(choice not in allowed for choice in choices):
        raise ValueError(
            f"{name} is one of {allowed}, or a tuple of them to draw from. "
            f"Received: {value!r}"
        )
    return choices


def _check_size(clip, codecs):
    if clip.shape[-1] != 3:
        raise ValueError(
            "A camera needs RGB clips, [T, H, W, 3]: its sensor has a colour mosaic. "
            "Use `poisson_gaussian` for grey clips. "
            f"Received: a clip of shape {clip.shape}"
        )
    least = _SIDE if codecs == (None,) else _CODED_SIDE
    if min(clip.shape[1:3]) < least:
        raise ValueError(
            f"A clip needs at least {least} pixels a side with codec={codecs}. "
            f"Received: a clip of shape {clip.shape}"
        )


def _drawn(settings, random):
    """One value of every setting, for one clip."""
    drawn = {}
    for name, choices in settings.items():
        if name == "crf":
            drawn[name] = int(random.integers(choices[0], choices[1] + 1))
        elif name not in _RANGES:
            drawn[name] = choices[random.integers(len(choices))]
        elif name in _LOGARITHMIC:
            drawn[name] = np.exp(draw(tuple(np.log(choices)), random))
        else:
            drawn[name] = draw(choices, random)
    chance = drawn.pop("chance")
    for name, value in _LEFT_OUT.items():
        low, high = settings[name]
        if low < high and random.random() >= chance:
            drawn[name] = value
    return drawn


def _filmed(
    clip,
    random,
    exposure,
    photons,
    read,
    black,
    red_gain,
    blue_gain,
    demosaic,
    resize,
    luma_blur,
    chroma_blur,
    sharpen,
):
    """The clip with noise, and without."""
    corner = tuple(int(place) for place in random.integers(2, size=2))
    gains = np.array([red_gain, 1, blue_gain], "float32") / np.float32(exposure)
    sides = clip.shape[1:3]
    sensor = tuple(round(side * resize) for side in sides)
    larger, smaller = _resampling(sides, sensor), _resampling(sensor, sides)
    # The rows of the matrices that each site needs.
    parts = larger and [
        [matrix[place] for matrix, place in zip(larger, site, strict=True)]
        for site in _sites(corner)
    ]
    blurs = [
        _blurring(sides, deviation)
        for deviation in (luma_blur, chroma_blur, _SHARPEN if sharpen else 0)
    ]
    pair = np.empty((2, *clip.shape), "float32")
    # Frame by frame, which stays in the processor's cache.
    for time, picture in enumerate(clip):
        light = _linear(np.moveaxis(picture, -1, 0)) / gains[:, None, None]
        mosaic = _mosaic(light, corner, sensor, parts)
        noisy = _noisy(mosaic, photons, read, random)
        for part, raw in zip(pair, (noisy, mosaic), strict=True):
            raw = raw.clip(-np.float32(black), 1)
            for site, channel in zip(_sites(corner), _CHANNELS, strict=True):
                raw[site] *= gains[channel]
            planes = _demosaiced(raw, corner, demosaic)
            planes = _gamma(_along(planes, smaller))
            planes = _processed(planes, *blurs, sharpen)
            part[time] = np.moveaxis(planes, 0, -1)
    return pair[0], pair[1]


def _linear(x):
    """Linear light of sRGB values, IEC 61966-2-1."""
    x = x.astype("float32", copy=False).clip(0, 1)
    curve = ((x + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(x <= np.float32(0.04045), x / np.float32(12.92), curve)


def _gamma(x):
    """sRGB values of linear light, IEC 61966-2-1."""
    x = x.clip(0, 1)
    curve = np.float32(1.055) * x ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(x <= np.float32(0.0031308), np.float32(12.92) * x, curve)


def _sites(corner):
    """Where red, the greens beside red and beside blue, and blue lie."""
    y, x = corner
    rows, other_rows = slice(y, None, 2), slice(1 - y, None, 2)
    columns, other_columns = slice(x, None, 2), slice(1 - x, None, 2)
    return (
        (rows, columns),
        (rows, other_columns),
        (other_rows, columns),
        (other_rows, other_columns),
    )


def _mosaic(light, corner, sensor, parts):
    """What each pixel of the sensor sees of planes [3, H, W], enlarged by the parts."""
    mosaic = np.empty(sensor, "float32")
    for number, (site, channel) in enumerate(
        zip(_sites(corner), _CHANNELS, strict=True)
    ):
        plane = light[channel]
        mosaic[site] = _along(plane, parts[number]) if parts else plane[site]
    # Cubic weights overshoot; light is never negative.
    return np.maximum(mosaic, 0)


def _noisy(mosaic, photons, read, random):
    """Shot noise and read noise, in shares of a full pixel."""
    if np.isinf(photons):
        return mosaic
    mean, read = mosaic * np.float32(photons), np.float32(read)
    normal = random.standard_normal(mean.shape, dtype="float32")
    variance = mean + read**2
    # Many photons: Cornish and Fisher's expansion has their mean, variance and
    # skewness, and costs a fifth.
    skew = mean / np.maximum(variance, 1) / 6
    spread = np.sqrt(np.maximum(variance - 2 * skew**2, 0))
    y = mean + spread * normal + skew * (normal**2 - 1)
    few = mean < _MANY
    y[few] = random.poisson(mean[few]) + read * normal[few]
    return y / np.float32(photons)


def _demosaiced(mosaic, corner, method):
    """Planes [3, H, W] of a mosaic [H, W]."""
    height, width = mosaic.shape
    # Mirrored about the edge pixels, which keeps the order of the colours.
    padded = np.pad(mosaic, 2, "reflect")

    def at(y, x):
        return padded[2 + y : 2 + y + height, 2 + x : 2 + x + width]

    beside, above = at(0, -1) + at(0, 1), at(-1, 0) + at(1, 0)
    diagonal = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
    if method == "bilinear":
        cross = (beside + above) / 4
        beside, above, diagonal = beside / 2, above / 2, diagonal / 4
    else:
        beside_2, above_2 = at(0, -2) + at(0, 2), at(-2, 0) + at(2, 0)
        cross = (4 * mosaic + 2 * (beside + above) - beside_2 - above_2) / 8
        centre = 5 * mosaic - diagonal
        beside = (centre + 4 * beside - beside_2 + above_2 / 2) / 8
        above = (centre + 4 * above - above_2 + beside_2 / 2) / 8
        diagonal = (6 * mosaic + 2 * diagonal - 1.5 * (beside_2 + above_2)) / 8
    red, green_by_red, green_by_blue, blue = _sites(corner)
    planes = np.empty((3, height, width), "float32")
    planes[1] = mosaic
    planes[1][red], planes[1][blue] = cross[red], cross[blue]
    for plane, own, same_row, same_column, opposite in (
        (planes[0], red, green_by_red, green_by_blue, blue),
        (planes[2], blue, green_by_blue, green_by_red, red),
    ):
        plane[own] = mosaic[own]
        plane[same_row] = beside[same_row]
        plane[same_column] = above[same_column]
        plane[opposite] = diagonal[opposite]
    return planes


def _resampling(sides, wanted):
    """A matrix for each axis: cubic, stretched where it shrinks. None: no change."""
    if sides == wanted:
        return None
    return [_cubic(*pair) for pair in zip(sides, wanted, strict=True)]


def _blurring(sides, deviation):
    """A matrix for each axis: Gaussian, cut at three deviations. None: no blur."""
    if not deviation:
        return None

    def kernel(x):
        return np.exp(-((x / deviation) ** 2) / 2) * (x <= 3 * deviation)

    return [_weights(np.arange(side), side, kernel) for side in sides]


def _cubic(length, wanted):
    scale = length / wanted
    centres = (np.arange(wanted) + 0.5) * scale - 0.5
    return _weights(centres, length, lambda x: _keys(x / max(scale, 1)))


def _weights(centres, length, kernel):
    """A matrix of weights of the distance; places past the edges have none."""
    weights = kernel(np.abs(centres[:, None] - np.arange(length)))
    weights /= weights.sum(1, keepdims=True)
    return sparse.csr_array(weights.astype("float32"))


def _keys(x):
    """The cubic kernel of Keys (1981), a = -1/2."""
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _along(planes, matrices):
    """Planes [..., H, W], multiplied by a matrix along each of the two axes."""
    if matrices is None:
        return planes
    tall, wide = matrices
    *outer, height, width = planes.shape
    new_height, new_width = tall.shape[0], wide.shape[0]
    # A sparse product runs in the calling thread alone; it acts on the first axis.
    x = planes.reshape(-1, height, width).transpose(2, 1, 0)
    x = wide @ x.reshape(width, -1)
    x = x.reshape(new_width, height, -1).transpose(1, 0, 2)
    x = tall @ x.reshape(height, -1)
    x = x.reshape(new_height, new_width, -1).transpose(2, 0, 1)
    return x.reshape(*outer, new_height, new_width)


def _processed(planes, luma_blur, chroma_blur, sharp_blur, sharpen):
    """What a phone does to sRGB planes [3, H, W]: blur, and unsharp masking."""
    if luma_blur is chroma_blur is sharp_blur is None:
        return planes
    luma = _LUMA[0] * planes[0] + _LUMA[1] * planes[1] + _LUMA[2] * planes[2]
    red, blue = _along(planes[::2] - luma, chroma_blur)
    luma = _along(luma, luma_blur)
    if sharpen:
        luma = luma + np.float32(sharpen) * (luma - _along(luma, sharp_blur))
    green = -(_LUMA[0] * red + _LUMA[2] * blue) / _LUMA[1]
    return np.stack([luma + red, luma + green, luma + blue]).clip(0, 1)


def _coded(clip, codec, crf, preset):
    height, width = clip.shape[1:3]
    # 4:2:0 needs even sides.
    least = _HEVC_SIDE if codec == "hevc" else 0
    more = [(0, max(least, side + side % 2) - side) for side in (height, width)]
    larger = np.pad(clip, ((0, 0), *more, (0, 0)), "edge")
    frames = coded(larger, codec, crf, preset, _PARAMETERS[codec])
    return frames[:, :height, :width]
