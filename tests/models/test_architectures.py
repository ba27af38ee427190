"""The list of architectures: names, parameter counts, arguments, errors.

Tested: every count that the papers' tables give; that every name of the backbones
builds; that every class is given each argument that its names offer, with `-m large`
under every name; what `build` refuses, and in which words; type hints.
Not tested: what the models compute (tests/cells, test_restorers.py).
"""

import functools
import inspect
import typing

import pytest

from stablevid_tf import models, zoo
from stablevid_tf.constraints import SRNC
from stablevid_tf.layers import LucasKanade
from stablevid_tf.models.architectures import _NETWORKS, _WRAPPED

# 64 features, ten body convolutions, RGB; from the layer lists of the papers.
COUNTS = {
    "vdncnn_single": 372_803,
    "vresnet_single": 372_803,
    "vdncnn_frame": 374_531,
    "vresnet_frame": 374_531,
    "vdncnn_feat": 741_443,
    "vresnet_feat": 557_123,
    "vdncnn_memory": 820_467,
    "vresnet_memory": 603_787,
    "vdncnn_rlsp": 409_667,
    "vresnet_rlsp": 409_667,
    "vdncnn_single_mf3": 376_259,
    "vresnet_single_mf3": 376_259,
    "vdncnn_single_mf7": 383_171,
    "vresnet_single_mf7": 383_171,
    "vdncnn_shift": 741_443,
    "vresnet_shift": 557_123,
    "vdncnn_birlsp": 817_539,
    "vresnet_birlsp": 817_539,
    "dbdnet": 964_712,
    # This project's own.
    "memory_unet": 1_788_876,
    "mobile_rrn": 35_664,
    "mrvsr": 1_209_360,
    "rlsp": 282_128,
    "ifi_rnn": 836_623,
    "rdbn": 1_996_731,
    # Trained ones; batch normalisation stores two numbers more for each of 64
    # channels of 16 convolutions.
    "strcnn": 721_219 + 2 * 64 * 16,
    # With weight normalisation's gains; without them in tests/cells/test_wdvr.py.
    "wdvr2d": 1_218_480 + 2_688,
    # With the moving statistics of batch normalisation.
    "fastdvdnet": 2 * 1_239_548 + 4_456,
    "frvsr": 2_589_093,
    "basicvsr": 6_291_311,
    # Our guesses: the paper gives no numbers.
    "gru": 413_803,
    "lstm": 272_063,
}
# Add-ons of c channels: 20 of the hidden state; 80, 64 or 60 of the features.
IRM, ATB = {20: 86_660, 32: 221_600}, {80: 358_880, 64: 229_760, 60: 201_960}
COUNTS |= {
    "ifi_rnn_irm": COUNTS["ifi_rnn"] + IRM[20],
    "ifi_rnn_atb": COUNTS["ifi_rnn"] + ATB[80],
    "ifi_rnn_rirn": COUNTS["ifi_rnn"] + IRM[20] + ATB[80],
    "strcnn_rirn": COUNTS["strcnn"] + IRM[32] + ATB[64],
    "gru_atb": COUNTS["gru"] + ATB[60],
    "lstm_rirn": COUNTS["lstm"] + IRM[20] + ATB[60],
}


@pytest.fixture(autouse=True)
def small_pyramid(monkeypatch):
    """Flow pyramids of one halving, not five, which take a second to trace."""
    flow = functools.partial(LucasKanade, levels=1)
    monkeypatch.setattr("stablevid_tf.cells.convex_memory.LucasKanade", flow)


def conv(cin, cout):
    return 9 * cin * cout + cout


# basicvsr, the slowest to build, is also counted in tests/cells/test_basicvsr.py.
@pytest.mark.parametrize(
    "name, count",
    [
        pytest.param(*row, marks=pytest.mark.large if row[0] == "basicvsr" else [])
        for row in COUNTS.items()
    ],
)
def test_parameter_counts(name, count):
    assert models.build(name).count_params() == count


def test_the_counts_follow_from_the_layer_lists():
    f = 64
    plain = conv(3, f) + 10 * conv(f, f) + conv(f, 3)
    assert COUNTS["vresnet_single"] == plain
    assert COUNTS["vresnet_frame"] == plain + conv(6, f) - conv(3, f)
    assert COUNTS["vdncnn_feat"] == conv(3, f) + 10 * conv(2 * f, f) + conv(f, 3)
    assert COUNTS["vresnet_feat"] == plain + 5 * (conv(2 * f, f) - conv(f, f))
    assert COUNTS["vresnet_rlsp"] == plain + conv(2 * f, f) - conv(f, f)
    assert COUNTS["vresnet_single_mf3"] == plain + conv(9, f) - conv(3, f)
    trunk = 9 * conv(f, f) + conv(2 * f, f)
    assert COUNTS["vdncnn_birlsp"] == conv(3, f) + 2 * trunk + conv(2 * f, 3)


@pytest.mark.parametrize(
    "name, arguments, count",
    [
        ("dbdnet", {"feedback": False}, 964_550),
    ],
)
def test_counts_of_published_variants(name, arguments, count):
    assert models.build(name, **arguments).count_params() == count


def test_the_published_counts_follow_from_the_layer_lists():
    f = 64
    single = conv(3, f) + 6 * conv(f, f) + conv(f, 3)
    multi = conv(2 * f, f) + 6 * conv(3 * f, f)
    assert COUNTS["dbdnet"] == single + multi + conv(f + 6, 3)
    assert COUNTS["dbdnet"] - 964_550 == conv(f + 6, 3) - conv(f, 3)
    blocks = 10 * conv(16, 16)
    hidden, tail = conv(16, 16), conv(16, 48)
    assert COUNTS["mobile_rrn"] == conv(6 + 16, 16) + blocks + hidden + tail
    f = 128
    xi = conv(9, f) + 2 * conv(f, f)
    psi = conv(2 * f, f) + conv(f, f) + conv(f, 16)
    assert COUNTS["mrvsr"] == xi + conv(f, f) + conv(2 * f, f) + psi
    for f, count in ((64, COUNTS["rlsp"]), (128, 1_080_336)):
        assert count == conv(25 + f, f) + 6 * conv(f, f) + conv(f, 16)


def test_the_counts_of_the_add_ons_follow_from_their_layer_lists():
    def square(k, cin, cout):
        return k * k * cin * cout + cout

    for c, count in IRM.items():
        wide, block = conv(2 * c, 2 * c), 2 * conv(c, c)
        assert count == 3 * wide + 2 * wide + conv(2 * c, c) + block
    for c, count in ATB.items():
        assert count == conv(2 * c, 2 * c) + 2 * (conv(c, c) + square(1, c, c))
    # GRU and LSTM, as the tables' layers give them.
    encoder = square(5, 3, 20) + square(5, 20, 40) + square(5, 40, 60)
    decoder = conv(60, 40) + conv(40, 20) + square(5, 20, 3)
    lstm = encoder + square(5, 80, 80) + decoder
    assert COUNTS["lstm"] == lstm
    to_hidden = conv(60, 20) + 2 * conv(20, 20) + conv(20, 20)
    assert COUNTS["gru"] == lstm + square(5, 80, 60) + to_hidden


def test_the_counts_of_convex_memories_follow_from_their_layer_lists():
    def square(k, cin, cout):
        return k * k * cin * cout + cout

    def gates(seen, memories):
        return conv(seen, 16) + conv(48, 32) + conv(32, 8 * memories)

    f = 64
    # In place of a stage's state its memory, and a 1x1 convolution into it.
    memories = 5 * square(1, f, f) + gates(3, 5)
    assert COUNTS["vresnet_memory"] == COUNTS["vresnet_feat"] + memories
    memories = 10 * square(1, f, f) + gates(3, 10)
    assert COUNTS["vdncnn_memory"] == COUNTS["vdncnn_feat"] + memories
    # Frames are 12 channels at half resolution; the memory holds them too.
    value, fuse = conv(12, 64 - 12), conv(12 + 64 + 8 + 16, 64)
    # Two convolutions a block: 2 blocks at each resolution, down and up.
    blocks = 8 * conv(64, 64) + 8 * conv(96, 96) + 4 * conv(128, 128)
    down = square(2, 64, 96) + square(2, 96, 128)
    up = square(1, 96, 4 * 64) + square(1, 128, 4 * 96)
    body = gates(12, 1) + value + fuse + blocks + down + up
    # The last convolution also says how much of the frame each of 4 pixels takes.
    assert COUNTS["memory_unet"] == body + conv(64, 4 + 12)


def test_constraints_add_no_trainable_parameter():
    count = models.build("vresnet_feat", features=8, blocks=2).count_params()
    for constraint in (
        SRNC(2.0, 0.2, frame_size=8),
        SRNC(2.0, 0.2, where="body", frame_size=8),
        SRNC(0.9, where="loop", frame_size=8),
    ):
        model = models.build(
            "vresnet_feat", features=8, blocks=2, constraint=constraint
        )
        assert sum(w.numpy().size for w in model.trainable_weights) == count


def test_widths_follow_the_arguments():
    model = models.build("vresnet_frame", features=8, blocks=3, channels=1, scale=2)
    # -frame at scale s sees the frame and s^2 times its channels of feedback.
    assert model.count_params() == conv(1 + 4, 8) + 6 * conv(8, 8) + conv(8, 4)
    model = models.build("vdncnn_feat_mf3", features=8, depth=4, scale=4)
    assert model.count_params() == conv(9, 8) + 4 * conv(16, 8) + conv(8, 48)


def test_every_name_builds_and_says_what_it_is():
    names = models.names()
    assert names == sorted(set(names))
    assert set(COUNTS) <= set(names)
    # Networks of their own have tests of their own, in tests/cells.
    published = {n for n in names if not n.startswith(("vdncnn_", "vresnet_"))}
    assert {"rlsp", *(n for n in COUNTS if not n.startswith("v"))} <= published
    add_ons = ("", "_irm", "_atb", "_rirn", "_atb_atb", "_irm_irm")
    for base in ("ifi_rnn", "strcnn", "rdbn", "gru", "lstm"):
        assert {base + suffix for suffix in add_ons} <= published
    assert {f"wdvr3d_{design}" for design in ("iai", "ias", "stas", "tsas")} < published
    assert len(names) == 2 * 7 * 3 + len(published)
    for name in set(names) - published:
        stages = "depth" if name.startswith("vdncnn") else "blocks"
        model = models.build(name, features=4, **{stages: 1})
        assert model.name == name
        assert model.built
        assert model.channels == 3
        assert model.scale == 1
        assert model.window == {"mf3": 3, "mf7": 7}.get(name.split("_")[-1], 1)
        assert hasattr(model, "step") is ("birlsp" not in name)
        assert model.causal is ("birlsp" not in name)


@pytest.mark.parametrize(
    "name, nearest",
    [
        ("vresnet_feet", "vresnet_feat"),
        ("VRESNET_FEAT", "vresnet_feat'"),
        ("vdncnn_rslp", "vdncnn_rlsp"),
        ("vresnet_feat_mf5", "vresnet_feat_mf"),
        ("", None),
        (None, None),
    ],
)
def test_unknown_names(name, nearest):
    with pytest.raises(ValueError, match="No architecture is named") as error:
        models.build(name)
    assert repr(name) in str(error.value)
    assert "models.names()" in str(error.value)
    if nearest:
        assert f"nearest is '{nearest}" in str(error.value)


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("vresnet_feat", {"depth": 4}, r"does not take \['depth'\].*blocks"),
        ("vdncnn_feat", {"blocks": 4}, r"does not take \['blocks'\].*depth"),
        ("vresnet_feat", {"window": 3}, r"does not take \['window'\]\. Choose from: b"),
        (
            "gru",
            {"feature": 4},
            "Did you mean 'features'\\? Choose from: channels, con",
        ),
        ("gru", {"skpi": 1, "dtpye": 1}, r"\['dtpye', 'skpi'\].* 'dtype' and 'skip'\?"),
        ("vresnet_feat", {"scale": 3}, "scale 1, 2 or 4"),
        ("vresnet_feat", {"scale": 0}, "scale 1, 2 or 4"),
        ("vresnet_feat", {"features": 0}, "features must be a positive"),
        ("vresnet_feat", {"features": 4.0}, "features must be a positive"),
        ("vresnet_feat", {"channels": 0}, "channels must be a positive"),
        ("vresnet_feat", {"blocks": 0}, "must be a positive integer"),
        ("vdncnn_feat", {"depth": -1}, "must be a positive integer"),
        ("vresnet_feat", {"constraint": "srnc"}, "constraint"),
        ("vresnet_feat", {"dtype": "float37"}, "float37"),
    ],
)
def test_wrong_arguments(name, arguments, words):
    with pytest.raises(ValueError, match=words):
        models.build(name, **arguments)


def test_beta_too_small_for_the_width_is_refused_when_built():
    with pytest.raises(ValueError, match="more channels"):
        models.build("vresnet_feat", features=8, constraint=SRNC(2.0, 0.01))


# A value for each argument, small, and not the default.
VALUES = {
    "activations": 3,
    "align": "half",
    "blocks": 1,
    "channels": 1,
    "clip_length": 3,
    "constraint": SRNC(1.0, where="body", frame_size=8),
    "depth": 1,
    "dtype": "mixed_bfloat16",
    "edges": "zeros",
    "features": 4,
    "feedback": False,
    "flow_features": 2,
    "frame_features": 3,
    "frame_number": 9,
    "gate_features": 3,
    "groups": 2,
    "inflated_ends": True,
    "levels": 2,
    "memory_features": 8,
    "noise_map": True,
    "retention": 0.5,
    "scale": 2,
    "sigma": 10.0,
    "skip": False,
    "temporal_padding": 1,
    "warp_loss": 0.5,
    "weight_norm": False,
    "window": 7,
}
CODECS = ("gru", "ifi_rnn", "lstm", "rdbn", "strcnn")
# Where these values are the default, or not allowed.
OTHERS = {
    "frvsr": {"scale": 1},
    "memory_unet": {"features": (4, 4), "blocks": (1, 1)},
    **{codec: {"skip": True} for codec in CODECS},
}


def values_of(name):
    base = next((n for n in CODECS if name.startswith(n)), name)
    return VALUES | OTHERS.get(base, {})


def offered(name):
    """The arguments that the message of a wrong one lists."""
    with pytest.raises(ValueError, match="Choose from: ") as error:
        models.build(name, **{"?": 1})
    return str(error.value).split("Choose from: ")[1].rstrip(".").split(", ")


def family(name):
    """The network's class and its backbone, if it has one."""
    base, _ = _WRAPPED.get(name, (name, None))
    network_class, settled = _NETWORKS[base]
    return network_class, settled.get("backbone")


FIRST = {}
for _name in models.names():
    FIRST.setdefault(family(_name), _name)
# With every argument a network takes up to a second to build. By default one of each
# class is, and one in all add-ons; the rest with -m large.
BUILT = {network_class: name for (network_class, _), name in FIRST.items()}
BUILT = {*BUILT.values(), *(n for n, (base, _) in _WRAPPED.items() if base == "lstm")}


@pytest.mark.parametrize("name", models.names())
def test_one_family_offers_the_same_arguments(name):
    assert offered(name) == offered(FIRST[family(name)])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in BUILT else pytest.mark.large)
        for name in models.names()
    ],
)
def test_every_offered_argument_is_accepted(name):
    given = {key: values_of(name)[key] for key in offered(name)}
    network = models.build(name, **given).network
    stages = {"depth": "stages"}
    if name.startswith("vresnet"):
        stages = {"blocks": "stages"}
    while hasattr(network, "cell"):
        network = network.cell
    assert network.dtype_policy.name == given.pop("dtype")
    for key, value in given.items():
        assert getattr(network, stages.get(key, key)) == value


@pytest.mark.parametrize("name", _NETWORKS)
def test_every_argument_that_is_not_offered_is_refused(name):
    network_class, settled = _NETWORKS[name]
    left = set(VALUES) - set(offered(name))
    assert left
    for key in left:
        with pytest.raises(ValueError, match=rf"does not take \['{key}'\]"):
            models.build(name, **{key: VALUES[key]})
        # The class says that it sees one frame, and does not check.
        if (name, key) != ("memory_unet", "window"):
            with pytest.raises((TypeError, ValueError)):
                network_class(**settled, **{key: VALUES[key]})


def public_functions(module):
    """Functions that a module exports, and the methods of exported classes."""
    for name in module.__all__:
        found = getattr(module, name)
        if not inspect.isclass(found):
            yield found
            continue
        for each in found.__mro__:
            if each.__module__.startswith("stablevid_tf."):
                for key, member in vars(each).items():
                    member = getattr(member, "__func__", member)
                    member = getattr(member, "fget", member)
                    own = getattr(member, "__module__", "") == each.__module__
                    if inspect.isfunction(member) and own and key[:1] != "_":
                        yield member


@pytest.mark.parametrize("module", [models, zoo], ids=["models", "zoo"])
def test_public_functions_have_type_hints(module):
    functions = list(public_functions(module))
    assert len(functions) >= len(module.__all__)
    for function in functions:
        parameters = set(inspect.signature(function).parameters) - {"self", "cls"}
        hints = typing.get_type_hints(function)
        assert hints.keys() == parameters | {"return"}, function.__qualname__
