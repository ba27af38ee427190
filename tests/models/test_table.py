"""The table of architectures: counted operations, and README's copy of it.

Tested: multiply-adds against sums by hand, of strided, transposed and 3D convolutions
too; that every architecture says where it is from; README's rows.
Not tested: the time that a frame takes (`benchmarks/inference.py`).
"""

from pathlib import Path

import keras
import pytest

from stablevid_tf import models
from stablevid_tf.models import table

README = Path(__file__).parent.parent.parent / "README.md"
# Rows that the default run compares: one a recurrence, small ones.
COMPARED = ("mobile_rrn", "rlsp", "vresnet_birlsp", "vresnet_feat", "vresnet_frame")


def kernel(cin, cout, taps=9):
    return taps * cin * cout


def test_vresnet_feat_by_hand():
    found = models.describe("vresnet_feat")
    f = 64
    block = kernel(2 * f, f) + kernel(f, f)
    # Scale 1: every kernel entry is used once a pixel; biases are no products.
    assert found.operations == kernel(3, f) + 5 * block + kernel(f, 3)
    assert found.parameters - found.operations == 11 * f + 3
    assert (found.recurrent, found.causal, found.latency) == (True, True, 0)
    assert (found.loops, found.task) == (5, "denoising")


def test_the_shared_convolution_of_birlsp_counts_twice():
    found = models.describe("vdncnn_birlsp", features=8, depth=2)
    trunk = kernel(3, 8) + kernel(16, 8) + kernel(8, 8)
    assert found.operations == 2 * trunk + kernel(16, 3)
    assert (found.causal, found.latency, found.loops) == (False, None, 2)


def test_scale_arguments_and_constraints():
    found = models.describe("vresnet_single_mf3", features=8, blocks=1, scale=2)
    # Convolutions run at the input's size.
    assert found.operations == kernel(9, 8) + 2 * kernel(8, 8) + kernel(8, 12)
    assert (found.recurrent, found.loops, found.latency) == (False, 0, 1)
    more = models.describe("vresnet_single_mf3", features=8, blocks=1, frame_number=9)
    assert more.operations == kernel(10, 8) + 2 * kernel(8, 8) + kernel(8, 3)
    assert not models.describe("vresnet_shift", features=4, blocks=1).recurrent


@pytest.mark.parametrize(
    "layer, shape, count",
    [
        (keras.layers.Conv2D(5, 3, 2, "same"), (1, 8, 6, 4), 12 * kernel(4, 5)),
        (keras.layers.Conv2D(5, 3, 2, "same"), (1, 7, 5, 4), 12 * kernel(4, 5)),
        (keras.layers.Conv2D(6, 3, groups=2), (1, 8, 6, 4), 24 * kernel(2, 6)),
        (keras.layers.Conv2DTranspose(5, 4, 2, "same"), (1, 8, 6, 3), 48 * 16 * 15),
        (
            keras.layers.Conv3D(5, (1, 3, 3), padding="same"),
            (1, 4, 8, 6, 3),
            192 * kernel(3, 5),
        ),
    ],
)
def test_one_layer(layer, shape, count):
    layer.build(shape)
    call = layer.call
    with table._counted([layer]) as counts:
        layer(keras.ops.zeros(shape))
        layer(keras.ops.zeros(shape))
    assert counts == [count, count]
    assert layer.call == call


def test_every_architecture_says_what_it_is():
    networks = {type(models.build(n).network): n for n in COMPARED}
    for network in networks:
        authors, *title, year = network.paper.split(", ")
        assert authors and title and 1990 < int(year) < 2030
        assert network.task in ("denoising", "super-resolution", "deblurring")


def rows():
    text = README.read_text().split("<!-- models table -->\n")[1]
    return text.split("\n<!-- end of models table -->")[0].splitlines()


def test_the_readme_lists_every_architecture():
    # Where this fails: python benchmarks/model_table.py
    assert [r.split("`")[1] for r in rows()[2:]] == table.listed()
    for name in COMPARED:
        assert table.row(models.describe(name)) in rows()


@pytest.mark.large
def test_the_readme_is_the_code():
    assert rows() == table.markdown().splitlines()
