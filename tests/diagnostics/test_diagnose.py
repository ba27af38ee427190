"""All tests of a model together: the verdict, and the report.

Tested: the verdict of hand-written cells that are stable, drift, diverge, or diverge
only when provoked; a test that cannot be made leaves the others; footage given as a
file, an array, an iterator; the page: whole, without links, pictures inside.
Not tested: the tests themselves (their own files); what a browser makes of the page.
"""

import base64
import html.parser

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from stablevid_tf import diagnostics, models

QUICK = {"length": 60, "tau": 6, "size": 16, "iterations": 20}


class Accumulator:
    """``h <- f(h) + mean(x) - 1/2``, ``y = x + h``; no loops declared."""

    name = "accumulator"

    def __init__(self, follow):
        self.follow = follow

    def initial_state(self, frame):
        return ops.zeros_like(frame)

    def step(self, frame, state):
        state = self.follow(state, frame)
        return frame + state, state


def leaky(state, frame):
    return 0.5 * state + 0.1 * (frame - 0.5)


def growing(state, frame):
    return 1.5 * state + 0.1 * frame


def saturating(state, frame):
    # Bounded, and wrong by 0.7 after some dozen frames: drift.
    return ops.minimum(state + 0.02, 0.7)


def provoked(state, frame):
    # Grows only from where no ordinary input brings it: its decay turns into growth.
    bright = ops.mean(frame, axis=(1, 2, 3), keepdims=True) - 0.5
    return ops.where(state > 0.3, 1.5 * state, 0.7 * state) + 0.25 * bright


def diagnose(model, **arguments):
    return diagnostics.diagnose(model, **(QUICK | arguments))


@pytest.mark.parametrize(
    "follow, verdict",
    [
        (leaky, "stable"),
        (growing, "diverges"),
        (saturating, "drifts"),
        (provoked, "diverges only when provoked"),
    ],
)
def test_verdict(follow, verdict):
    # Even in brightness: what provokes the last cell does not occur in it.
    video = np.full((10, 16, 16, 3), 0.5, "float32")
    video[:, ::2] = 0.6
    video[:, 1::2] = 0.4
    found = diagnose(Accumulator(follow), frames=video, length=300, tau=16)
    assert found.verdict == verdict
    assert found.summary().startswith(f"accumulator: {verdict}. ")
    assert "declare" in found.certificate.summary()


def test_a_proof_is_said():
    from stablevid_tf.constraints import SRNC

    model = models.build(
        "vresnet_feat",
        features=4,
        blocks=1,
        constraint=SRNC(0.9, where="loop", frame_size=8),
    )
    found = diagnose(model, sigma=30)
    assert found.verdict == "stable"
    assert found.certificate.certified
    assert found.reason.startswith("Stability was proved")
    assert found.long_run.psnr.shape[1] == 4


def test_what_cannot_be_done_is_said_and_the_rest_made(tmp_path):
    class Nan(Accumulator):
        def step(self, frame, state):
            return frame * np.nan, state

    found = diagnose(Nan(None))
    assert found.verdict == "diverges"
    assert found.long_run.nonfinite
    page = found.save(tmp_path).read_text()
    # There is nothing in it whose spectra could be taken.
    assert isinstance(found.spectra, str)
    assert found.spectra[:40] in page
    assert "not made" in page


def test_footage(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype="uint8")
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{t}.png")
    cell = Accumulator(leaky)
    from_file = diagnose(cell, frames=tmp_path, sigma=10)
    array = frames / np.float32(255)
    for given in (array, iter(array)):
        found = diagnose(cell, frames=given, sigma=10)
        np.testing.assert_array_equal(found.long_run.psnr, from_file.long_run.psnr)
    assert from_file.settings["frames"] == str(tmp_path)
    with pytest.raises(ValueError, match="smaller size"):
        diagnose(cell, frames=array, size=32)
    with pytest.raises(ValueError, match="at least one frame"):
        diagnose(cell, frames=array[:0])


def test_a_model_of_whole_clips_is_refused():
    with pytest.raises(ValueError, match="initial_state"):
        diagnose(keras.Sequential([keras.layers.Conv3D(3, 3)]))


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.text, self.links, self.pictures = [], [], []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href"):
                inside = value.startswith("data:image/png;base64,")
                (self.pictures if inside else self.links).append(value)

    def handle_data(self, data):
        self.text.append(data)


def test_page(tmp_path):
    model = models.build("vresnet_feat", features=4, blocks=1)
    model.name = "<mine>"
    found = diagnose(model, sigma=30)
    path = found.save(tmp_path / "new" / "folder")
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    text = " ".join(reader.text)
    assert not reader.links
    assert "http" not in path.read_text()
    assert "<mine>" in text
    # The verdict stands before every test.
    assert text.index(found.verdict) < text.index("Temporal receptive field")
    pictures = sorted(p.read_bytes() for p in path.parent.glob("*.png"))
    assert len(pictures) == 6
    inside = [base64.b64decode(p.split(",")[1]) for p in reader.pictures]
    assert sorted(inside) == pictures
    for _, part in found.parts():
        assert part.summary() in text
