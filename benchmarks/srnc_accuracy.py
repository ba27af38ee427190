"""Does SRN-C hold what it says? Norm and stable rank of the effective kernel.

Measured: for random kernels and, with --weights, for trained ones, over channels,
alpha and beta: ||W|| against alpha, and the stable rank ||W||_F^2 / (||W||^2 n^2 m)
against beta where beta binds (the trained kernel's own stable rank is larger). W is
the operator of the layer's zero-padded convolution on n x n maps.
How: the witness is NumPy and SciPy alone. Up to 16 channels W is written out as a
matrix and decomposed (n = 10 or 8); from 32 on its norm comes from ARPACK from a
random start (n = --large, 32; 64, the layer's default, takes four times as long).
"settled" is the kernel after --settle training steps with the trained kernel held
still, "fresh" that of a layer whose vectors were never warmed, "printed" the algorithm
as printed in the paper, settled. Trained kernels are the square 3x3 ones of the files,
cut to the channels.
Required: settled norm within 1 % of alpha, stable rank within 3 % of beta. "out of
reach" marks what no kernel of that shape can have (beta m < 1/9).

    python benchmarks/srnc_accuracy.py [--weights zoo/*/model.weights.h5] [--quick]
"""

import common
import h5py
import numpy as np
from scipy.sparse.linalg import LinearOperator, svds

from stablevid_tf import backend
from stablevid_tf.layers import SRNCConv2D

SIZE = {8: 10, 16: 8}  # where W is written out as a matrix
TAPS = [(y, x) for y in range(3) for x in range(3)]


def shifted(maps, dy, dx):
    """``maps[y + dy, x + dx]``, zero outside: [n, n, channels]."""
    n = len(maps)
    out = np.zeros_like(maps)
    ys, xs = (slice(max(0, -d), n - max(0, d)) for d in (dy, dx))
    yt, xt = (slice(max(0, d), n - max(0, -d)) for d in (dy, dx))
    out[ys, xs] = maps[yt, xt]
    return out


def convolve(kernel, maps):
    """Zero-padded "same" convolution, 3x3; all taps in one matrix product."""
    *_, cin, cout = kernel.shape
    flat = kernel.reshape(9, cin, cout).transpose(1, 0, 2).reshape(cin, -1)
    parts = (maps.reshape(-1, cin) @ flat).reshape(*maps.shape[:2], 9, cout)
    return sum(shifted(parts[:, :, i], y - 1, x - 1) for i, (y, x) in enumerate(TAPS))


def adjoint(kernel, maps):
    """Its adjoint: the same with taps transposed and offsets turned round."""
    return convolve(kernel[::-1, ::-1].transpose(0, 1, 3, 2), maps)


def matrix(kernel, n):
    """The operator written out: block (p, q) is K_tap^T where q - p is its offset."""
    return sum(
        np.kron(np.kron(np.eye(n, k=y - 1), np.eye(n, k=x - 1)), kernel[y, x].T)
        for y, x in TAPS
    )


def norm(kernel, n):
    """Spectral norm of the convolution on n x n maps."""
    *_, cin, cout = kernel.shape
    if cin in SIZE:
        return np.linalg.norm(matrix(kernel.astype("float64"), n), 2)
    operator = LinearOperator(
        (n * n * cout, n * n * cin),
        matvec=lambda x: convolve(kernel, x.reshape(n, n, cin)).ravel(),
        rmatvec=lambda x: adjoint(kernel, x.reshape(n, n, cout)).ravel(),
        dtype="float32",
    )
    start = np.random.default_rng(1).standard_normal(n * n * min(cin, cout))
    start = start.astype("float32")
    found = svds(operator, k=1, v0=start, tol=1e-3, return_singular_vectors=False)
    return float(found[0])


def stable_rank(kernel, n, norm_of_it):
    """``||W||_F^2 / (||W||^2 n^2 m)``, counting the positions where a tap acts."""
    energy = np.sum(kernel.astype("float64") ** 2, axis=(2, 3))
    squared = sum((n - abs(y - 1)) * (n - abs(x - 1)) * energy[y, x] for y, x in TAPS)
    return squared / (norm_of_it**2 * n * n * min(kernel.shape[2:]))


def layer(kernel, alpha, beta, n, decomposition="projected"):
    conv = SRNCConv2D(
        kernel.shape[-1],
        3,
        alpha=alpha,
        beta=beta,
        decomposition=decomposition,
        frame_size=n,
        use_bias=False,
    )
    conv.build((None, None, None, kernel.shape[-2]))
    conv.assign_kernel(kernel)
    return conv


def settled(conv, steps):
    step = backend.compile(conv.training_kernel)
    for _ in range(steps):
        kernel = step()
    return np.asarray(kernel)


def kernels(channels, weights):
    """``{name: kernel}``: one random, and the widest square one of each file."""
    shape = (3, 3, channels, channels)
    found = {"random": np.random.default_rng(channels).normal(size=shape)}
    for path in weights:
        inside = []
        with h5py.File(path) as file:
            file.visititems(lambda _, x, inside=inside: inside.append(x))
            inside = [x[()] for x in inside if isinstance(x, h5py.Dataset)]
        square = [x for x in inside if x.ndim == 4 and x.shape[2] == x.shape[3]]
        square = [x for x in square if x.shape[2] >= channels]
        if square:
            middle = square[len(square) // 2]
            found[path] = middle[:, :, :channels, :channels]
    return {name: kernel.astype("float32") for name, kernel in found.items()}


def main():
    parser = common.arguments(__doc__, settle=200, large=32)
    parser.add_argument("--weights", nargs="*", default=[], help=".weights.h5 files")
    parser.add_argument("--channels", nargs="+", type=int, default=[])
    parser.add_argument("--quick", action="store_true", help="a minute: 8 cases")
    options = parser.parse_args()
    channels, alphas = options.channels or [8, 16, 32, 64], [0.5, 1.0, 2.0, 3.0]
    betas = [1.0, 0.4, 0.2, 0.1, 0.05, 0.025]
    if options.quick:
        channels, alphas = options.channels or [8, 16], [2.0]
        betas = [1.0, 0.2, 0.1, 0.05]

    results, worst = [], {}
    for c in channels:
        n = SIZE.get(c, options.large)
        for source, kernel in kernels(c, options.weights).items():
            own = stable_rank(kernel, n, norm(kernel, n))
            for alpha, beta in [(a, b) for a in alphas for b in betas]:
                case = {"channels": c, "kernel": source, "alpha": alpha, "beta": beta}
                case |= {"size": n, "binds": bool(own > beta)}
                results.append(case)
                if beta < 1 and beta * c < 1 / 9:
                    case["out of reach"] = True
                    print(case)
                    continue
                variants = {
                    "settled": settled(layer(kernel, alpha, beta, n), options.settle),
                    "fresh": np.asarray(
                        layer(kernel, alpha, beta, n).effective_kernel()
                    ),
                    "printed": settled(
                        layer(kernel, alpha, beta, n, "gradient"), options.settle
                    ),
                }
                for name, found in variants.items():
                    size = norm(found, n)
                    case[name] = (size, stable_rank(found, n, size))
                    off_norm = abs(size / alpha - 1)
                    rank = case[name][1] / beta - 1
                    off_rank = abs(rank) if case["binds"] else max(rank, 0.0)
                    for what, off in (("norm", off_norm), ("stable rank", off_rank)):
                        worst.setdefault((name, what), []).append(off)
                print(
                    f"{c:3d} ch {n:3d} px alpha {alpha:<4g} beta {beta:<6g}",
                    "binds" if case["binds"] else "free ",
                    *(
                        f"{name} {case[name][0]:.4f}/{case[name][1]:.4f}"
                        for name in variants
                    ),
                    source,
                    flush=True,
                )
    verdicts = []
    for (name, what), off in worst.items():
        line = f"srnc_accuracy {name}, {what} of {len(off)} kernels"
        if name == "printed":
            print(f"{line}: deviation {min(off):.3f}-{max(off):.3f}, nothing required")
            continue
        limit = {"norm": 0.01, "stable rank": 0.03}[what]
        verdicts.append(
            common.verdict(line, off, worst_at_most=limit, digits=5, what="deviation")
        )
    common.write(options.out, options=vars(options), results=results, verdicts=verdicts)


if __name__ == "__main__":
    main()
