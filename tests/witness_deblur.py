"""NumPy float64 witnesses of the deblurring networks and of RIRN's add-ons.

Written from the equations. Imports nothing of the library and no framework. A
convolution is a pair (kernel, bias); a network is a dict of such pairs and lists.
"""

import numpy as np
import scipy.special
from witness import conv, relu

sigmoid = scipy.special.expit


def gelu(x):
    """``x Phi(x)``."""
    return x * 0.5 * (1 + scipy.special.erf(x / np.sqrt(2)))


def transposed(x, kernel, bias):
    """Transposed convolution of stride 2 that doubles the size ("same").

    ``y[2 i + tap - before] += x[i] K[tap]^T``: the adjoint of the convolution of
    stride 2 from 2n to n pixels, whose taps begin ``(k - 2) // 2`` before the pixel.
    ``kernel`` [k, k, cout, cin].
    """
    kernel = np.asarray(kernel, np.float64)
    k = kernel.shape[0]
    before = (k - 2) // 2
    batch, rows, columns, _ = x.shape
    full = np.zeros((batch, 2 * rows + k, 2 * columns + k, kernel.shape[2]))
    for a, b in np.ndindex(k, k):
        full[:, a : a + 2 * rows : 2, b : b + 2 * columns : 2] += x @ kernel[a, b].T
    return full[:, before : before + 2 * rows, before : before + 2 * columns] + bias


def residual(x, first, second):
    return x + conv(relu(conv(x, *first)), *second)


def dense(x, convs, fuse):
    seen = x
    for pair in convs:
        seen = np.concatenate([seen, gelu(conv(seen, *pair))], -1)
    return x + conv(seen, *fuse)


def batch_norm(x, gamma, beta, mean, variance):
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def normalised(x, first, norm1, second, norm2):
    inside = relu(batch_norm(conv(x, *first), *norm1))
    return relu(x + batch_norm(conv(inside, *second), *norm2))


def padded(frames, stride):
    """The last row and column repeated until the sides divide."""
    _, height, width, _ = frames.shape
    pads = [(0, 0), (0, -height % stride), (0, -width % stride), (0, 0)]
    return np.pad(frames, pads, mode="edge")


def encode(w, frames):
    x = padded(frames, 4)
    for i, pair in enumerate(w["encoder"]):
        x = conv(x, *pair, strides=2 if i else 1)
    return x


def decode(w, x, frames):
    x = transposed(x, *w["up"][0])
    x = transposed(x, *w["up"][1])
    return conv(x, *w["tail"])[:, : frames.shape[1], : frames.shape[2]]


def to_hidden(w, features):
    first, block, last = w["to_hidden"]
    return conv(residual(conv(features, *first), *block), *last)


def ifi_rnn(w, frames, hidden):
    """Features and hidden state; ``decode`` gives the frame."""
    x = np.concatenate([encode(w, frames), hidden], -1)
    for block in w["body"]:
        x = residual(x, *block)
    return x, to_hidden(w, x)


def gru(w, frames, hidden):
    x = encode(w, frames)
    gates = sigmoid(conv(np.concatenate([x, hidden], -1), *w["gates"]))
    z, r = gates[..., : x.shape[-1]], gates[..., x.shape[-1] :]
    g = np.tanh(conv(np.concatenate([x, r * hidden], -1), *w["candidate"]))
    features = (1 - z) * x + z * g
    return features, to_hidden(w, features)


def lstm(w, frames, hidden, memory):
    x = conv(np.concatenate([encode(w, frames), hidden], -1), *w["gates"])
    n = hidden.shape[-1]
    forget, candidate, show, take = (x[..., i * n : (i + 1) * n] for i in range(4))
    kept = sigmoid(forget) * memory
    new = sigmoid(take) * np.tanh(candidate)
    hidden = sigmoid(show) * np.tanh(kept + new)
    return np.concatenate([kept, new, hidden], -1), hidden, kept + new


def rdbn(w, frames, hidden):
    x = conv(padded(frames - 0.5, 4), *w["encoder"][0])
    x = conv(dense(x, *w["encoder"][1]), *w["encoder"][2], strides=2)
    x = conv(dense(x, *w["encoder"][3]), *w["encoder"][4], strides=2)
    x = np.concatenate([x, hidden], -1)
    levels = []
    for block in w["body"]:
        x = dense(x, *block)
        levels.append(x)
    features = conv(conv(np.concatenate(levels, -1), *w["fuse1"]), *w["fuse3"])
    first, block, last = w["to_hidden"]
    return features, conv(dense(conv(features, *first), *block), *last)


def strcnn(w, frames, hidden):
    x = relu(conv(padded(frames, 2), *w["conv1"]))
    x = np.concatenate([relu(conv(x, *w["conv2"], strides=2)), hidden], -1)
    for block in w["body"]:
        x = normalised(x, *block)
    return x, relu(conv(x, *w["to_hidden"]))


def strcnn_frame(w, x, frames):
    x = conv(relu(transposed(x, *w["up"])), *w["tail"])
    return x[:, : frames.shape[1], : frames.shape[2]]


def irm(w, new, previous):
    x = np.concatenate([new, previous], -1)
    for pair in w["convs"]:
        x = conv(x, *pair)
    return residual(conv(residual(x, *w["block1"]), *w["narrow"]), *w["block2"])


def atb(w, new, previous):
    x = conv(np.concatenate([new, previous], -1), *w["both"])
    c = new.shape[-1]

    def weight(x, first, last):
        return sigmoid(conv(relu(conv(x, *first)), *last))

    a = weight(x[..., :c], *w["of_new"])
    b = weight(x[..., c:], *w["of_previous"])
    return a * new + b * previous
