"""Networks with a noise map, and how noisy a picture is.

Tested: that a model told a level equals the network given the map as a channel, step by
step and with windows, in every recurrence; shared weights, files, folding, loops;
measured noise against the truth and against scikit-image; the command line's choice;
wrong arguments.
Not tested: whether a trained network heeds its map (the entry's card measures that).
"""

import keras
import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures
from skimage.restoration import estimate_sigma
from streamed import streamed

from stablevid_tf import models
from stablevid_tf.cells import NoiseLevelCell
from stablevid_tf.cli.noise import at_noise, measured_noise
from stablevid_tf.constraints import SRNC
from stablevid_tf.data import noise_level
from stablevid_tf.diagnostics import certify

SMALL = {"features": 4, "blocks": 1, "noise_map": True}


def clip(length=3):
    shape = (2, length, 8, 9, 3)
    return np.random.default_rng(0).random(shape, dtype="float32")


def mapped(frames, sigma):
    level = np.full((*frames.shape[:-1], 1), sigma / 255, "float32")
    return np.concatenate([frames, level], axis=-1)


@pytest.mark.parametrize(
    "name", ["vresnet_feat", "vresnet_frame", "vresnet_rlsp", "vresnet_shift_mf3"]
)
def test_told_a_level_or_given_the_map(name):
    keras.utils.set_random_seed(0)
    model = models.build(name, **SMALL)
    told, frames = models.at_noise_level(model, 40), clip()
    truth = model(mapped(frames, 40)).numpy()
    assert truth.shape == frames.shape
    np.testing.assert_array_equal(told(frames), truth)
    # The same float32 operations, in another graph.
    np.testing.assert_allclose(streamed(told, frames), truth, atol=1e-5)
    other = models.at_noise_level(told, 5)(frames)
    assert np.abs(other - truth).max() > 1e-3
    np.testing.assert_array_equal(other, model(mapped(frames, 5)))


def test_a_map_may_differ_from_pixel_to_pixel():
    keras.utils.set_random_seed(0)
    model, frames = models.build("vresnet_single", **SMALL), clip(1)
    both = mapped(frames, 10)
    both[..., 5:, 3] = 50 / 255
    # Four convolutions see at most four pixels away.
    near = model(both).numpy()[..., :1, :]
    np.testing.assert_allclose(
        near, model(mapped(frames, 10)).numpy()[..., :1, :], atol=1e-6
    )


def test_files_folding_and_loops(tmp_path):
    keras.utils.set_random_seed(0)
    constraint = SRNC(0.9, where="loop", frame_size=8)
    model = models.build("vresnet_feat", **SMALL, constraint=constraint)
    told, frames = models.at_noise_level(model, 40), clip()
    assert certify(told.fold()).certified
    told.save(tmp_path / "told.keras")
    loaded = keras.models.load_model(tmp_path / "told.keras")
    assert loaded.get_config() == told.get_config()
    np.testing.assert_array_equal(loaded(frames), told(frames))
    assert {id(w) for w in model.weights} == {id(w) for w in told.weights}


def test_noise_is_measured(random):
    noise = random.normal(size=(256, 256, 3))
    for sigma in (5, 30, 55):
        # 16,384 coefficients a channel: the median's own error is below 1 %.
        found = noise_level(0.5 + sigma / 255 * noise)
        assert found == pytest.approx(sigma, rel=0.015)
        db2 = 255 * estimate_sigma(
            sigma / 255 * noise, average_sigmas=True, channel_axis=-1
        )
        assert found == pytest.approx(db2, rel=0.03)
    clips = np.stack([0.1 * noise, 0.1 * noise[::-1]])
    assert noise_level(clips) == pytest.approx(25.5, rel=0.015)


def test_noise_of_photographs(random):
    photo = pictures.astronaut()[:256, :256] / 255
    noise = random.normal(size=photo.shape)
    for sigma in (15, 30, 50):
        # Edges add at most a tenth there.
        assert sigma * 0.98 < noise_level(photo + sigma / 255 * noise) < sigma * 1.1
    assert noise_level(photo) < 5


def test_what_the_command_line_does(capsys):
    keras.utils.set_random_seed(0)
    fixed = models.build("vresnet_feat", features=4, blocks=1)
    with pytest.warns(
        UserWarning, match="about 5 of 255 and the model.*30: it will blur"
    ):
        assert at_noise(fixed, 30, 5.0, None, None) is fixed
    with pytest.warns(UserWarning, match="leave much of the noise"):
        at_noise(fixed, 30, 70.0, None, None)
    assert at_noise(fixed, 30, 16.0, None, None) is fixed
    assert at_noise(fixed, None, 5.0, None, None) is fixed
    with pytest.raises(ValueError, match=r"has no noise map.*Received: --sigma 20"):
        at_noise(fixed, 30, 30.0, 20.0, None)
    assert at_noise(fixed, 30, 30.0, None, 1.5).network.strength == 1.5
    assert at_noise(fixed, None, None, None, 1.0) is fixed
    told = models.at_noise_level(models.build("vresnet_feat", **SMALL), 30)
    assert at_noise(told, 30, 20.0, None, 1.5).network.sigma == 30
    assert at_noise(told, 30, 20.0, 12.0, None).network.sigma == 12
    assert at_noise(told, 30, 200.0, None, 2.0).network.sigma == 255
    assert "noise: 20.0 of 255 (measured); the model is told 30.0" in (
        capsys.readouterr().out
    )


def test_wrong_arguments():
    model = models.build("vresnet_feat", **SMALL)
    with pytest.raises(ValueError, match=r"4 channels.*the noise map.*at_noise_level"):
        model(clip())
    with pytest.raises(ValueError, match=r"0 to 255\. Received: sigma=300"):
        models.at_noise_level(model, 300)
    with pytest.raises(ValueError, match="built with noise_map=True"):
        models.at_noise_level(models.build("vresnet_feat", features=4, blocks=1), 30)
    with pytest.raises(ValueError, match="built with noise_map=True"):
        NoiseLevelCell(models.build("gru", features=4).network, 30)
    with pytest.raises(ValueError, match="at least 2 pixels"):
        noise_level(np.zeros((1, 5, 3)))
    with pytest.raises(ValueError, match="divide by 255"):
        noise_level(np.zeros((5, 5, 3), "uint8"))


def test_noise_of_what_cannot_be_measured(tmp_path):
    def written(name, *sizes):
        (tmp_path / name).mkdir()
        for t, size in enumerate(sizes):
            grey = np.full((*size, 3), 128, np.uint8)
            Image.fromarray(grey).save(tmp_path / name / f"{t}.png")
        return tmp_path / name

    assert measured_noise(written("tiny", (1, 4), (1, 4))) is None
    # The restoring says that sizes differ.
    assert measured_noise(written("mixed", (8, 8), (8, 10))) == 0
    fixed = models.build("vresnet_feat", features=4, blocks=1)
    assert at_noise(fixed, 30, None, None, None) is fixed
    told = models.at_noise_level(models.build("vresnet_feat", **SMALL), 30)
    with pytest.raises(ValueError, match="too small to measure noise: give --sigma"):
        at_noise(told, 30, None, None, None)
