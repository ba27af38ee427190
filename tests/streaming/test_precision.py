"""Tested: which precision this or another machine takes, from made-up descriptions;
that a converted model is the one built in that precision; what is refused.
Not tested: speed, and how much PSNR changes (README tells both)."""

import warnings

import keras
import numpy as np
import pytest

from stablevid_tf import backend, models, streaming
from stablevid_tf.backend import precision
from stablevid_tf.backend.precision import fastest_precision, policy_of
from stablevid_tf.constraints import SRNC
from stablevid_tf.streaming.at_precision import at_precision

SAPPHIRE = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8488C
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8
bugs\t\t: spectre_v1

processor\t: 1
flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_bf16 avx512_fp16 amx_tile amx_int8
"""
COOPER = SAPPHIRE.replace("amx_bf16 ", "").replace("amx_tile amx_int8", "")
HASWELL = "processor : 0\nflags : fpu sse2 avx2 fma\n"
NAMED = "processor : 0\nmodel name : amx_bf16 tester\nflags : fpu sse2\n"
ARM = "processor : 0\nFeatures : fp asimd bf16 i8mm\n"


@pytest.mark.parametrize(
    "cpuinfo, expected",
    [
        (SAPPHIRE, "bfloat16"),
        (COOPER, "float32"),
        (HASWELL, "float32"),
        (NAMED, "float32"),
        (ARM, "float32"),
        ("", "float32"),
    ],
)
def test_of_a_cpu(cpuinfo, expected, monkeypatch, tmp_path):
    assert fastest_precision(None, cpuinfo) == expected
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(backend, "fast_bfloat16", lambda: None)
    mixed = {"bfloat16": "mixed_bfloat16", "float32": "float32"}
    assert policy_of("auto") == mixed[expected]


def test_of_an_accelerator_and_without_cpuinfo(monkeypatch, tmp_path):
    assert fastest_precision(True, HASWELL) == "bfloat16"
    assert fastest_precision(False, SAPPHIRE) == "float32"
    monkeypatch.setattr(precision, "_CPUINFO", tmp_path / "none")
    assert fastest_precision() == "float32"


def test_float16_on_a_cpu_is_said_to_be_slow(monkeypatch):
    monkeypatch.setattr(backend, "fast_bfloat16", lambda: None)
    with pytest.warns(UserWarning, match="seven times slower"):
        assert policy_of("float16") == "mixed_float16"
    monkeypatch.setattr(backend, "fast_bfloat16", lambda: True)
    with warnings.catch_warnings(action="error"):
        assert policy_of("float16") == "mixed_float16"
    with pytest.raises(ValueError, match="Received: 'half'"):
        policy_of("half")


@pytest.mark.parametrize("name", ["vresnet_feat", "vresnet_birlsp", "wdvr2d"])
def test_a_converted_model_is_the_one_built_so(name):
    small = {"features": 8, "blocks": 1, "scale": 1}
    if name == "wdvr2d":
        small = {"features": 8, "blocks": 1, "activations": 8, "scale": 1}
    model = models.build(name, **small)
    model.build()
    # Folded: of wdvr2d the normalisation of its weights is part of the kernels.
    model = model.fold()
    twin = models.build(name, **small, dtype="mixed_bfloat16")
    twin.build()
    twin = twin.fold()
    twin.set_weights(model.get_weights())
    clip = np.random.default_rng(0).random((1, 3, 16, 24, 3), "float32")
    found = at_precision(model, "bfloat16")
    result = found.predict(clip, verbose=0)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, twin.predict(clip, verbose=0))
    assert np.abs(result - model.predict(clip, verbose=0)).max() > 0
    back = at_precision(found, "float32")
    np.testing.assert_array_equal(
        back.predict(clip, verbose=0), model.predict(clip, verbose=0)
    )
    assert at_precision(model, "float32") is model


def test_constraints_noise_maps_strength_and_tiles():
    keras.utils.set_random_seed(0)
    arguments = {"features": 8, "blocks": 1, "constraint": SRNC(2.0, 0.5, frame_size=8)}
    model = models.build("vresnet_feat", **arguments, noise_map=True)
    model = models.at_strength(models.at_noise_level(model, 20), 0.05)
    frames = np.random.default_rng(0).random((3, 48, 48, 3), "float32")
    plain = np.stack(list(streaming.restore(model, frames)))
    twin = at_precision(model, "bfloat16")
    found = np.stack(list(streaming.restore(twin, frames)))
    assert 0 < np.abs(found - plain).max() < 0.01
    tiled = np.stack(list(streaming.restore(twin, frames, tile=40, overlap=8)))
    np.testing.assert_allclose(tiled, found, atol=0.01)


def test_models_of_other_kinds(delay):
    model = delay()
    assert at_precision(model, "auto") is model
    assert at_precision(model, "float32") is model
    with pytest.raises(ValueError, match=r"precision of Delay cannot.*'bfloat16'"):
        at_precision(model, "bfloat16")
