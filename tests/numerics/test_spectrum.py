"""Spectra, norms and bounds of convolutions.

Tested: singular values against the SVD of the explicit periodic matrix (1 to 3 axes,
strides, transposed); the bound against explicit norms at several sizes and against a
512-frequency supremum; norm and stable rank against the explicit zero-padded matrix;
tap counts; errors.
Not tested: kernels too large for an explicit matrix (the benchmarks do those).
"""

import itertools

import numpy as np
import pytest
import witness

from stablevid_tf import numerics

# [taps, size, strides]; sizes smaller than the kernel too.
PERIODIC = [
    ((3,), 6, 1),
    ((5,), 3, 1),
    ((4,), 6, 2),
    ((3, 3), 6, 1),
    ((3, 3), 5, 1),
    ((1, 1), 4, 1),
    ((2, 2), 4, 1),
    ((5, 5), 3, 1),
    ((5, 3), (6, 4), 1),
    ((3, 3), 6, 2),
    ((1, 1), 4, 2),
    ((5, 5), 4, 2),
    ((4, 4), 4, 2),
    ((3, 3), (4, 6), (2, 1)),
    ((3, 3, 3), 3, 1),
    ((1, 3, 3), (2, 4, 4), (1, 2, 2)),
    ((3, 3, 3), 4, 2),
]


@pytest.mark.parametrize("cin, cout", [(2, 3), (3, 2), (1, 1)])
@pytest.mark.parametrize("taps, size, strides", PERIODIC)
def test_singular_values_are_those_of_the_periodic_matrix(
    random, taps, size, strides, cin, cout
):
    kernel = random.normal(size=(*taps, cin, cout))
    matrix = witness.conv_matrix(kernel, size, strides, "circular")
    truth = np.linalg.svd(matrix, compute_uv=False)
    found = numerics.conv_singular_values(kernel, size, strides)
    assert found.shape == truth.shape
    # Two float64 SVDs of the same numbers.
    np.testing.assert_allclose(found, truth, atol=1e-11 * truth[0])


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("cin, cout", [(2, 5), (5, 2), (3, 3)])
def test_transposed_singular_values(random, strides, cin, cout):
    # Keras keeps [k, k, cout, cin]: the kernel of the plain convolution from cout to
    # cin channels, whose matrix is the transpose of this layer's.
    kernel = random.normal(size=(3, 3, cout, cin))
    matrix = witness.conv_matrix(kernel, 6, strides, "circular").T
    assert matrix.shape == (36 * cout, 36 // strides**2 * cin)
    truth = np.linalg.svd(matrix, compute_uv=False)
    found = numerics.conv_singular_values(kernel, 6, strides)
    np.testing.assert_allclose(found, truth, atol=1e-11 * truth[0])


def test_transposed_follows_keras_own_layer(random):
    keras = pytest.importorskip("keras")
    layer = keras.layers.Conv2DTranspose(
        3, 3, strides=2, padding="same", use_bias=False
    )
    layer.build((None, 6, 6, 2))
    layer.kernel.assign(random.normal(size=layer.kernel.shape))
    basis = np.eye(72, dtype="float32").reshape(72, 6, 6, 2)
    matrix = np.array(layer(basis)).reshape(72, -1)
    kernel = layer.kernel.numpy()
    bound = numerics.conv_norm_bound(kernel, 2)
    true = np.linalg.norm(matrix, 2)
    # The zero-padded operator is a part of the infinite one: close below the bound.
    assert 0.85 * bound < true <= bound


BOUNDED = [((3, 3), 1), ((1, 1), 1), ((5, 5), 1), ((2, 2), 1), ((3, 3), 2), ((5, 5), 2)]


@pytest.mark.parametrize("cin, cout", [(2, 3), (3, 1)])
@pytest.mark.parametrize("taps, strides", BOUNDED)
def test_bound_holds_at_every_size_and_padding(random, taps, strides, cin, cout):
    kernel = random.normal(size=(*taps, cin, cout))
    bound = numerics.conv_norm_bound(kernel, strides)
    for size, padding in itertools.product((5, 6, 9, 12), ("same", "valid")):
        # Float64 throughout: one part in 1e12 for rounding.
        true = witness.norm(kernel, size, strides, padding)
        assert true <= bound * (1 + 1e-12)
    # ... and is no idle number: the largest of these maps comes near it.
    assert bound < 1.15 * witness.norm(kernel, 12, strides)


@pytest.mark.parametrize("cin, cout", [(1, 1), (4, 4), (6, 3)])
def test_bound_lies_within_half_a_percent_of_the_supremum(random, cin, cout):
    kernel = random.normal(size=(3, 3, cin, cout))
    supremum = witness.symbol_norm(kernel, 512)
    # The slack of 64 frequencies is 0.24 %; a 512 grid misses at most 0.004 %.
    assert supremum <= numerics.conv_norm_bound(kernel) <= 1.005 * supremum


def test_bound_of_a_peak_between_the_grid_frequencies():
    # |1 - e^(iw)| cos-shaped peaks at odd grids: the bound must not take the grid max.
    kernel = np.array([1.0, 0.0, -1.0])[:, None, None]
    for grid in (3, 5, 7, 9, 15):
        assert numerics.conv_norm_bound(kernel, grid=grid) >= 2.0 - 1e-12


def test_bound_in_1d_and_3d(random):
    for taps, size in (((3,), 40), ((3, 3, 3), 5), ((1, 3, 3), 5)):
        kernel = random.normal(size=(*taps, 2, 2))
        true = witness.norm(kernel, size)
        # The default 16 frequencies in 3D are within 6 %; small maps lie lower.
        assert true <= numerics.conv_norm_bound(kernel) <= 1.6 * true


def test_bound_is_homogeneous_and_zero_for_zero(random):
    kernel = random.normal(size=(3, 3, 4, 4))
    bound = numerics.conv_norm_bound(kernel)
    # Scaling by a power of two is exact in float64 up to the eigensolver.
    assert numerics.conv_norm_bound(8 * kernel) == pytest.approx(8 * bound, rel=1e-12)
    assert numerics.conv_norm_bound(0 * kernel) == 0


CASES = list(itertools.product((1, 3, 5), (1, 2), ("same", "valid"), ((2, 3), (3, 2))))


@pytest.mark.parametrize("taps, strides, padding, channels", CASES)
def test_norm_and_stable_rank(random, taps, strides, padding, channels):
    kernel = random.normal(size=(taps, taps, *channels)).astype("float32")
    # An odd size for one order of the channels, an even one for the other.
    args = (5 + channels[0], strides, padding)
    norm = witness.norm(kernel, *args)
    # Lanczos on float32 products: some parts in a million.
    assert numerics.conv_norm(kernel, *args) == pytest.approx(norm, rel=1e-5)
    rank = witness.stable_rank(kernel, *args)
    assert numerics.stable_rank(kernel, *args) == pytest.approx(rank, rel=2e-5)


def test_norm_in_1d_and_3d(random):
    for taps, size in (((3,), 9), ((3, 3, 3), 4), ((1, 3, 3), (3, 5, 4))):
        kernel = random.normal(size=(*taps, 2, 3))
        true = witness.norm(kernel, size)
        assert numerics.conv_norm(kernel, size) == pytest.approx(true, rel=1e-5)


def test_norm_of_one_row_and_of_zero():
    one = np.full((1, 1, 1, 1), -3.0)
    assert numerics.conv_norm(one, 1) == pytest.approx(3.0, rel=1e-6)
    assert numerics.conv_norm(np.zeros((3, 3, 2, 2)), 8) == 0
    with pytest.raises(ValueError, match="no stable rank"):
        numerics.stable_rank(np.zeros((3, 3, 2, 2)), 8)


@pytest.mark.parametrize("taps, strides, padding, channels", CASES)
def test_tap_counts_are_exact(taps, strides, padding, channels):
    for size in (5, 6, (7, 5)):
        counts = numerics.tap_counts((taps, taps, *channels), size, strides, padding)
        for tap in np.ndindex(taps, taps):
            single = np.zeros((taps, taps, 1, 1))
            single[tap] = 1
            matrix = witness.conv_matrix(single, size, strides, padding)
            # Integers: exactly as many entries as the tap has places.
            assert counts[tap] == np.count_nonzero(matrix)


@pytest.mark.parametrize("taps, strides, padding, channels", CASES)
def test_frobenius(random, taps, strides, padding, channels):
    kernel = random.normal(size=(taps, taps, *channels)).astype("float32")
    truth = (witness.conv_matrix(kernel, 8, strides, padding) ** 2).sum()
    found = numerics.conv_frobenius_squared(kernel, 8, strides, padding)
    # A float32 sum of some hundred terms.
    assert float(found) == pytest.approx(truth, rel=2e-6)


def test_sizes_may_be_numpy_integers(random):
    kernel = random.normal(size=(3, 3, 2, 2))
    values = numerics.conv_singular_values(kernel, np.int64(6))
    np.testing.assert_array_equal(values, numerics.conv_singular_values(kernel, 6))


def test_measuring_changes_no_kernel(random):
    kernel = random.normal(size=(3, 3, 2, 3))
    before = kernel.copy()
    numerics.conv_singular_values(kernel, 6)
    numerics.conv_norm_bound(kernel, 2)
    numerics.conv_norm(kernel, 6)
    numerics.stable_rank(kernel, 6)
    np.testing.assert_array_equal(kernel, before)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda n, k: n.conv_singular_values(k[0, 0], 4), r"\[\*taps, cin, cout\]"),
        (lambda n, k: n.conv_singular_values(k, 5, 2), "multiple of the strides"),
        (lambda n, k: n.conv_singular_values(k, 0), "positive (multiple|integer)"),
        (lambda n, k: n.conv_singular_values(k, (4, 4, 4)), "one per spatial axis"),
        (lambda n, k: n.conv_singular_values(k * np.nan, 4), "not finite"),
        (lambda n, k: n.conv_norm_bound(k * np.inf), "not finite"),
        (lambda n, k: n.conv_norm_bound(k, grid=2), "grid must exceed"),
        (lambda n, k: n.conv_norm(k, 2, padding="valid"), "at least 3 inputs"),
        (lambda n, k: n.conv_norm(k, 4, padding="circular"), "'same' or 'valid'"),
        (lambda n, k: n.stable_rank(k[0, 0], 4), r"\[\*taps, cin, cout\]"),
    ],
)
def test_errors_say_what_is_allowed(random, call, words):
    with pytest.raises(ValueError, match=words):
        call(numerics, random.normal(size=(3, 3, 2, 2)))
