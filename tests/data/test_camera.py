"""A camera and a codec: curve, mosaic, noise, smoothing, coding.

Tested, against NumPy loops that import nothing of ours: the sRGB curve; the four
mosaics with both demosaicing rules, white balance and saturation; the resized sensor;
blurs and sharpening; mean, variance and skewness of the noise against
x / N + (r / N)^2; the noise that the docstring states. Target and degraded are equal
without noise and codec, and lie where the clip does with them; codecs lose detail;
seeds, threads, configuration, ClipDataset, sizes and errors.
Not tested: H.264 itself and layers in tf.data (test_degradations.py).
"""

import inspect
import itertools
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from stablevid_tf import data
from stablevid_tf.data.dead_leaves import dead_leaves
from stablevid_tf.data.degradations import Camera, camera

# No optional stage, no codec, a balanced sensor that white fills, and no noise.
PLAIN = {
    "exposure": 1,
    "photons": np.inf,
    "red_gain": 1,
    "blue_gain": 1,
    "demosaic": "bilinear",
    "resize": 1,
    "luma_blur": 0,
    "chroma_blur": 0,
    "sharpen": 0,
    "codec": None,
}


def clip(frames=3, height=20, width=26, seed=0):
    shape = (frames, height, width, 3)
    return np.random.default_rng(seed).random(shape, dtype="float32")


def moving(frames=3, height=64, width=64):
    """A scene that slides to the right, two pixels a frame."""
    scene = gaussian_filter(dead_leaves(height, width + 2 * frames), (1, 1, 0))
    scene = np.stack([scene[:, 2 * t :][:, :width] for t in range(frames)])
    return scene.astype("float32")


def generator(seed=0):
    return np.random.default_rng(seed)


# --- the witness: one pixel at a time --------------------------------------------


def to_linear(v):
    """IEC 61966-2-1, one number."""
    return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4


def to_srgb(v):
    v = min(max(v, 0.0), 1.0)
    return 12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055


LINEAR, SRGB = np.vectorize(to_linear, [float]), np.vectorize(to_srgb, [float])

# The four mosaics, row by row.
ORDERS = ("RGGB", "GRBG", "GBRG", "BGGR")


def colour(order, y, x):
    return order[2 * (y % 2) + x % 2]


def mirrored(i, length):
    """A place past the edges, mirrored about the edge pixel."""
    while not 0 <= i < length:
        i = -i if i < 0 else 2 * (length - 1) - i
    return i


# The filters of Malvar, He and Cutler (2004), figure 2, times 8.
GREEN_AT_OTHER = """
 0  0 -1  0  0
 0  0  2  0  0
-1  2  4  2 -1
 0  0  2  0  0
 0  0 -1  0  0"""
SAME_ROW = """
 0  0 .5  0  0
 0 -1  0 -1  0
-1  4  5  4 -1
 0 -1  0 -1  0
 0  0 .5  0  0"""
OPPOSITE = """
 0  0 -1.5 0  0
 0  2  0   2  0
-1.5 0 6   0 -1.5
 0  2  0   2  0
 0  0 -1.5 0  0"""


def five_by_five(text):
    return np.array([float(v) for v in text.split()]).reshape(5, 5) / 8


def demosaiced(raw, order, rule):
    """[H, W] of a mosaic to [H, W, 3]."""
    height, width = raw.shape

    def at(y, x):
        return raw[mirrored(y, height), mirrored(x, width)]

    out = np.zeros((height, width, 3))
    for y, x, c in itertools.product(range(height), range(width), range(3)):
        wanted, own = "RGB"[c], colour(order, y, x)
        if wanted == own:
            out[y, x, c] = raw[y, x]
            continue
        if rule == "bilinear":
            # The mean of the nearest pixels of that colour.
            near = [
                (b, a)
                for b, a in itertools.product((-1, 0, 1), repeat=2)
                if colour(order, y + b, x + a) == wanted
            ]
            out[y, x, c] = np.mean([at(y + b, x + a) for b, a in near])
            continue
        if wanted == "G":
            weights = five_by_five(GREEN_AT_OTHER)
        elif own != "G":
            weights = five_by_five(OPPOSITE)
        elif colour(order, y, x + 1) == wanted:
            weights = five_by_five(SAME_ROW)
        else:
            weights = five_by_five(SAME_ROW).T
        out[y, x, c] = sum(
            weights[b + 2, a + 2] * at(y + b, x + a)
            for b, a in itertools.product(range(-2, 3), repeat=2)
        )
    return out


def cubic(x):
    """Keys (1981), a = -1/2."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resized(row, wanted):
    """One row, by cubic weights at half-pixel centres, stretched where it shrinks."""
    scale, out = len(row) / wanted, []
    for i in range(wanted):
        centre = (i + 0.5) * scale - 0.5
        weights = [cubic((centre - k) / max(scale, 1)) for k in range(len(row))]
        out.append(np.dot(weights, row) / sum(weights))
    return out


def blurred(row, deviation):
    out = []
    for i in range(len(row)):
        near = [k for k in range(len(row)) if abs(k - i) <= 3 * deviation]
        weights = [np.exp(-((k - i) ** 2) / (2 * deviation**2)) for k in near]
        out.append(np.dot(weights, [row[k] for k in near]) / sum(weights))
    return out


def along(function, picture, *arguments):
    """A function of a row, along both axes of [H, W, C]."""
    one, two = (arguments * 2)[:2]
    tall = np.apply_along_axis(function, 0, picture, one)
    return np.apply_along_axis(function, 1, tall, two)


def filmed(picture, order, rule, exposure=1, gains=(1, 1, 1), sensor=None):
    """The clean picture through the witness's camera."""
    light = LINEAR(picture.astype(float))
    height, width = picture.shape[:2]
    if sensor:
        light = np.maximum(along(resized, light, *sensor), 0)
    raw = np.zeros(light.shape[:2])
    for y, x in np.ndindex(*raw.shape):
        c = "RGB".index(colour(order, y, x))
        raw[y, x] = min(light[y, x, c] * exposure / gains[c], 1) * gains[c] / exposure
    out = demosaiced(raw, order, rule)
    return SRGB(along(resized, out, height, width) if sensor else out)


def nearest(found, witnesses):
    """The number of the witness that a picture agrees with."""
    away = [np.abs(found - witness).max() for witness in witnesses]
    # float32 sums, and the steep foot of the sRGB curve: 12.92 times an error of 1e-7.
    assert min(away) < 1e-5, away
    assert sorted(away)[1] > 1e-3
    return int(np.argmin(away))


# --- the clean picture -----------------------------------------------------------


def test_the_curve_there_and_back():
    levels = np.linspace(0, 1, 256, dtype="float32")
    grey = np.broadcast_to(levels[:, None, None, None], (256, 4, 4, 3))
    _, target = camera(grey, generator(), **PLAIN)
    np.testing.assert_allclose(target, grey, atol=1e-6)
    # The curve alone, at the foot's end and above: white at half the light.
    white = np.ones((1, 4, 4, 3))
    for gain in (0.5, 0.1):
        _, target = camera(white, generator(), **(PLAIN | {"red_gain": gain}))
        np.testing.assert_allclose(target[..., 0], to_srgb(gain), atol=1e-6)
        np.testing.assert_allclose(target[..., 1:], 1, atol=1e-6)


@pytest.mark.parametrize("rule", ["bilinear", "malvar"])
@pytest.mark.parametrize("sides", [(6, 8), (7, 5), (2, 3)])
def test_mosaic_and_demosaicing(rule, sides):
    scene = clip(1, *sides)
    # Green and blue saturate in bright pixels, red nowhere.
    settings = {"exposure": 0.9, "red_gain": 2.2, "blue_gain": 0.7, "demosaic": rule}
    wanted = [filmed(scene[0], o, rule, 0.9, (2.2, 1, 0.7)) for o in ORDERS]
    orders = set()
    for seed in range(24):
        _, target = camera(scene, generator(seed), **(PLAIN | settings))
        orders.add(nearest(target[0], wanted))
    assert orders == {0, 1, 2, 3}


def test_a_sensor_with_more_pixels():
    scene = clip(1, 8, 7)
    # 1.4 x 8 and 1.4 x 7, rounded.
    wanted = [filmed(scene[0], o, "malvar", 1, (1, 1, 1), (11, 10)) for o in ORDERS]
    settings = PLAIN | {"resize": 1.4, "demosaic": "malvar"}
    _, target = camera(scene, generator(), **settings)
    nearest(target[0], wanted)


@pytest.mark.parametrize(
    "luma_blur, chroma_blur, sharpen",
    [(0.6, 0, 0), (0, 1.7, 0), (0, 0, 0.4), (0.5, 1, 0.3)],
)
def test_smoothing(luma_blur, chroma_blur, sharpen):
    scene = clip(1, 9, 10)
    settings = PLAIN | {
        "luma_blur": luma_blur,
        "chroma_blur": chroma_blur,
        "sharpen": sharpen,
    }
    _, plain = camera(scene, generator(), **PLAIN)
    _, target = camera(scene, generator(), **settings)
    # BT.601's luma, and differences from it.
    luma = plain[0] @ [0.299, 0.587, 0.114]
    luma, chroma = luma[..., None], plain[0] - luma[..., None]
    luma = along(blurred, luma, luma_blur) if luma_blur else luma
    chroma = along(blurred, chroma, chroma_blur) if chroma_blur else chroma
    luma = luma + sharpen * (luma - along(blurred, luma, 1.0))
    np.testing.assert_allclose(target[0], np.clip(luma + chroma, 0, 1), atol=2e-6)


# --- noise -----------------------------------------------------------------------


def green_of(result):
    """Linear green values of the sensor's own green pixels.

    Bilinear demosaicing keeps them, and gives the mean of four in the others: of the
    two chessboards, the one that varies more.
    """
    boards = [
        np.concatenate([result[:, y::2, x::2, 1].ravel() for y, x in places])
        for places in (((0, 0), (1, 1)), ((0, 1), (1, 0)))
    ]
    return LINEAR(max(boards, key=np.var).astype(float))


@pytest.mark.parametrize(
    "level, exposure, photons, read",
    [
        # Photons for the level: 4,000; 64; 24; 8 with read noise; 5 without.
        (0.4, 1, 10000, 0),
        (0.4, 0.2, 800, 2),
        (0.3, 0.1, 800, 6),
        (0.25, 0.5, 64, 0.5),
        (0.2, 0.5, 50, 0),
    ],
)
def test_noise_is_shot_and_read_noise(level, exposure, photons, read):
    grey = np.full((8, 96, 96, 3), to_srgb(level))
    noise = {"exposure": exposure, "photons": photons, "read": read}
    noisy, target = camera(grey, generator(), **(PLAIN | noise))
    np.testing.assert_allclose(target, to_srgb(level), atol=1e-6)
    # In photons: the gain of the exposure undone.
    y, mean = green_of(noisy) * photons * exposure, level * exposure * photons
    variance, count = mean + read**2, y.size
    assert count == 8 * 96 * 96 / 2
    # Five standard errors each: of a mean; of a variance, to which a Poisson's fourth
    # moment adds 1 / mean; of a third moment of a nearly normal number.
    assert y.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / count))
    error = np.sqrt((2 + 1 / mean) / count)
    assert y.var() == pytest.approx(variance, rel=5 * error)
    error = np.sqrt(6 * variance**3 * (1 + 3 / mean) / count)
    third = ((y - y.mean()) ** 3).mean()
    assert third == pytest.approx(mean, abs=5 * error)


def test_few_photons_are_counted():
    grey = np.full((1, 32, 32, 3), to_srgb(0.2))
    noisy, _ = camera(grey, generator(), **(PLAIN | {"photons": 25, "read": 0}))
    counts = green_of(noisy) * 25
    np.testing.assert_allclose(counts, counts.round(), atol=1e-4)
    assert len(set(counts.round())) > 5


def test_the_white_balance_raises_the_noise_of_red_and_blue():
    grey = np.full((4, 96, 96, 3), to_srgb(0.4))
    settings = {"photons": 2000, "read": 0, "red_gain": 2, "blue_gain": 3}
    noisy, target = camera(grey, generator(), **(PLAIN | settings))
    np.testing.assert_allclose(target, to_srgb(0.4), atol=1e-6)
    for channel, gain in ((0, 2), (2, 3)):
        # One place in four is the sensor's own: the one that varies most.
        places = [noisy[:, y::2, x::2, channel] for y in (0, 1) for x in (0, 1)]
        own = LINEAR(max(places, key=np.var).astype(float))
        # Variance 0.4 / gain / N, times gain^2.
        error = np.sqrt(2 / own.size)
        assert own.var() == pytest.approx(0.4 * gain / 2000, rel=5 * error)


def test_the_sensor_clips_at_its_black_level_and_at_white():
    black = np.zeros((2, 64, 64, 3))
    settings = PLAIN | {"photons": 100, "read": 10}
    # The mean of a clipped normal number: s / sqrt(2 pi) with the black level at 0.
    lifted, _ = camera(black, generator(), **(settings | {"black": 0}))
    y = green_of(lifted)
    error = 0.1 / np.sqrt(y.size)
    assert y.mean() == pytest.approx(0.1 / np.sqrt(2 * np.pi), abs=5 * error)
    # Mean of four: a black level of ten deviations leaves s / sqrt(2 pi) / 2 there.
    kept, _ = camera(black, generator(), **(settings | {"black": 1}))
    others = LINEAR(kept[..., 1].astype(float)).mean()
    wanted = 0.1 / np.sqrt(2 * np.pi) * (1 + 1 / 2) / 2
    assert others == pytest.approx(wanted, abs=5 * error)
    white, _ = camera(np.ones((2, 64, 64, 3)), generator(), **settings)
    assert white.max() == pytest.approx(1, abs=1e-6)
    assert LINEAR(white[..., 1].astype(float)).mean() < 1 - 0.02


def test_frames_differ_in_noise_alone():
    still = np.repeat(clip(1, 32, 32), 3, axis=0)
    noisy, target = camera(still, generator(), codec=None)
    np.testing.assert_array_equal(target[0], target[2])
    assert not np.array_equal(noisy[0], noisy[1])


@pytest.mark.parametrize(
    "settings, wanted",
    [({}, (3.2, 7.5, 19.8)), ({"chance": 0}, (4.5, 9.3, 24.7))],
)
def test_the_noise_that_the_docstring_states(settings, wanted):
    grey = np.full((1, 24, 24, 3), 0.5, "float32")
    found = []
    for seed in range(250):
        noisy, target = camera(grey, generator(seed), codec=None, **settings)
        found.append(255 * (noisy - target).std())
    # Of 250 clips: a percentile's standard error is up to 8% of its value.
    np.testing.assert_allclose(np.percentile(found, (5, 50, 95)), wanted, rtol=0.3)


# --- the pair --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_without_noise_and_codec_both_are_equal(seed):
    degraded, target = camera(clip(), generator(seed), photons=np.inf, codec=None)
    np.testing.assert_array_equal(degraded, target)
    assert degraded is not target and not np.shares_memory(degraded, target)


@pytest.mark.parametrize(
    "settings",
    [
        {"resize": 1},
        {"resize": 1.7},
        {"luma_blur": 0.7, "chroma_blur": 2, "sharpen": 0.5},
        {"codec": "hevc", "preset": "ultrafast"},
    ],
)
def test_all_show_the_same_place(settings):
    scene = moving()
    degraded, target = camera(scene, generator(), **settings)
    for frames in (degraded, target):
        for a, b in zip(frames, scene, strict=True):
            for channel in range(3):
                shift, *_ = phase_cross_correlation(
                    a[..., channel], b[..., channel], upsample_factor=20
                )
                # Frames lie two pixels apart.
                assert np.abs(shift).max() <= 0.15


def quality(a, b):
    # Equal pictures: 120 dB.
    return -10 * np.log10(((a - b) ** 2).mean() + 1e-12)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_codec_loses_detail(codec):
    scene = moving()
    settings = PLAIN | {"codec": codec, "preset": "ultrafast"}
    found = []
    for crf in (4, 22, 40):
        degraded, target = camera(scene, generator(), **(settings | {"crf": crf}))
        assert not np.array_equal(degraded, target)
        assert degraded.min() >= 0 and degraded.max() <= 1
        found.append(quality(degraded, target))
    assert found == sorted(found, reverse=True)
    assert found[0] > 36 and found[-1] < 30


def test_codecs_and_the_rest_are_drawn():
    scene, seen = clip(1, 16, 16), set()
    for seed in range(12):
        plain = PLAIN | {"codec": (None, "h264"), "crf": (20, 45)}
        degraded, target = camera(scene, generator(seed), **plain)
        seen.add(np.array_equal(degraded, target))
    assert seen == {True, False}
    # A single number is used whatever the chance is; a pair is not.
    _, plain = camera(scene, generator(), **PLAIN)
    for chance, value, sharp in ((0, 2, True), (0, (1, 2), False), (1, (1, 2), True)):
        settings = PLAIN | {"sharpen": value, "chance": chance}
        _, target = camera(scene, generator(), **settings)
        # Another order of the mosaic may have been drawn; contrast tells.
        assert (target.std() > 1.12 * plain.std()) == sharp


@pytest.mark.parametrize("sides", [(17, 33), (16, 16), (35, 18)])
@pytest.mark.parametrize("codec", ["h264", "hevc", None])
def test_sizes(sides, codec):
    smooth = gaussian_filter(clip(2, *sides), (0, 4, 4, 0))
    for resize in (1, 1.3):
        settings = PLAIN | {"codec": codec, "crf": 4, "resize": resize}
        degraded, target = camera(smooth, generator(), **settings)
        assert degraded.shape == target.shape == smooth.shape
        assert degraded.dtype == target.dtype == "float32"
        # Nothing of what is added for the codec enters.
        assert quality(degraded, target) > 36


# --- the layer -------------------------------------------------------------------

LAYERS = [
    Camera(seed=3),
    Camera(
        exposure=0.3,
        photons=500,
        demosaic="malvar",
        resize=1.25,
        chance=1,
        codec=("h264", None),
        crf=30,
        preset="ultrafast",
    ),
]


@pytest.mark.parametrize("layer", LAYERS, ids=["default", "set"])
def test_the_configuration_says_all(layer):
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(twin) is Camera
    assert twin.get_config() == layer.get_config()
    for a, b in zip(layer(clip(), 7), twin(clip(), 7), strict=True):
        np.testing.assert_array_equal(a, b)


def test_function_and_layer_have_the_same_defaults():
    def defaults(function):
        parameters = inspect.signature(function).parameters.values()
        given = {p.name: p.default for p in parameters if p.default is not p.empty}
        given.pop("seed", None)
        return given

    assert defaults(camera) == defaults(Camera.__init__)
    assert set(defaults(camera)) < set(Camera().get_config())


def test_the_generators_state_decides():
    scene, settings = clip(), {"codec": ("h264", None)}
    first, again = generator(4), generator(4)
    results = [camera(scene, g, **settings)[0] for g in (first, again, first)]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    # The clip is left as it was.
    np.testing.assert_array_equal(scene, clip())


def test_threads_do_not_disturb_one_another():
    layer, scene = Camera(codec=("h264", "hevc")), moving()

    def pair(number):
        return layer(scene, number)

    alone = [pair(number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(pair, range(8)))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_in_a_clip_dataset(tmp_path):
    for t in range(5):
        image = (255 * clip(1, 40, 44, t)[0]).astype("uint8")
        Image.fromarray(image).save(tmp_path / f"{t}.png")
    settings = {"frames": 3, "size": 24, "batch_size": 2, "steps": 1}
    clips = data.ClipDataset(tmp_path, degrade=Camera(), **settings)
    degraded, target = clips[0]
    assert degraded.shape == target.shape == (2, 3, 24, 24, 3)
    np.testing.assert_array_equal(clips[0][0], degraded)
    assert 0.01 < np.abs(degraded - target).mean() < 0.4
    grey = data.ClipDataset(tmp_path, degrade=Camera(), grey=True, **settings)
    with pytest.raises(ValueError, match="RGB"):
        grey[0]


@pytest.mark.parametrize(
    "shape, settings, words",
    [
        ((2, 20, 20, 1), {}, r"RGB clips.*poisson_gaussian.*\(2, 20, 20, 1\)"),
        ((2, 20, 20, 4), {}, "RGB clips"),
        ((20, 20, 3), {}, "A clip is"),
        ((2, 15, 20, 3), {}, "16 pixels a side"),
        ((2, 20, 15, 3), {"codec": (None, "hevc")}, "16 pixels a side"),
        ((2, 1, 20, 3), {"codec": None}, "2 pixels a side"),
        (None, {"exposure": 0}, "exposure is a share"),
        (None, {"exposure": (0.5, 2)}, "exposure is a share"),
        (None, {"photons": 0}, "photons is"),
        (None, {"photons": (100, np.inf)}, "two finite numbers"),
        (None, {"read": -1}, "read is in photons"),
        (None, {"read": (1, 2, 3)}, "read is in photons"),
        (None, {"black": 2}, "black is"),
        (None, {"red_gain": 0}, "red_gain is a factor"),
        (None, {"blue_gain": np.nan}, "blue_gain is a factor"),
        (None, {"demosaic": "ahd"}, "demosaic is one of"),
        (None, {"demosaic": ()}, "demosaic is one of"),
        (None, {"resize": 0.5}, "resize is a factor"),
        (None, {"luma_blur": -1}, "luma_blur is"),
        (None, {"chroma_blur": 11}, "chroma_blur is"),
        (None, {"sharpen": 6}, "sharpen is"),
        (None, {"chance": 1.5}, "chance is a probability"),
        (None, {"codec": "av1"}, "codec is one of"),
        (None, {"crf": 52}, "crf is an integer"),
        (None, {"crf": (20, 10)}, "crf is an integer"),
        (None, {"crf": (1, 2, 3)}, "crf is one number"),
        (None, {"preset": "swift"}, "preset is one of"),
    ],
)
def test_errors(shape, settings, words):
    with pytest.raises(ValueError, match=words):
        camera(np.zeros(shape or (2, 20, 20, 3)), generator(), **settings)
    if shape is None:
        with pytest.raises(ValueError, match=words):
            Camera(**settings)


def test_an_encoder_that_is_missing(monkeypatch):
    monkeypatch.setattr("av.codecs_available", {"libx264"})
    with pytest.raises(ValueError, match="no encoder libx265"):
        camera(clip(), generator(), codec="hevc")
