"""JAX: the same functions for accelerators and for more than one machine."""

import warnings

import jax
import jax.numpy as jnp
import keras
import numpy as np

__all__ = [
    "XLA_PAYS",
    "compile",
    "conv",
    "conv_adjoint",
    "conv_kernel_grad",
    "fast_bfloat16",
    "fed",
    "full_float32",
    "gradient",
    "jvp",
    "limit_threads",
    "on_host",
    "outside_graph",
    "scan",
]

XLA_PAYS = True

# Up to this many frames a time loop is unrolled: on a CPU a training step is nine
# times faster so (16 frames of VResNet-feat, 32 features, three blocks), and compiling
# took no longer. Longer clips are scanned, since compiling grows with every frame.
_UNROLL = 64

_LAYOUT = {
    3: ("NWC", "WIO", "NWC"),
    4: ("NHWC", "HWIO", "NHWC"),
    5: ("NDHWC", "DHWIO", "NDHWC"),
}


def conv(x, kernel, strides=1, padding="same"):
    """``K * x`` with ``x`` [B, *space, cin] and ``kernel`` [*taps, cin, cout]."""
    kernel = jnp.asarray(kernel)
    rank = kernel.ndim - 2
    strides = (strides,) * rank if isinstance(strides, int) else tuple(strides)
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding.upper(), dimension_numbers=_LAYOUT[kernel.ndim]
    )


def conv_adjoint(y, kernel, input_shape, strides=1, padding="same"):
    """``K^T * y``: the adjoint of :func:`conv` onto ``input_shape``."""
    shape = jax.ShapeDtypeStruct(tuple(input_shape), y.dtype)
    transpose = jax.linear_transpose(lambda x: conv(x, kernel, strides, padding), shape)
    return transpose(y)[0]


def conv_kernel_grad(v, u, kernel, strides=1, padding="same"):
    """``grad_K <u, K * v>``, the shape of ``kernel``; linear in ``u`` and ``v``."""
    kernel = jax.lax.stop_gradient(jnp.asarray(kernel))
    return jax.grad(lambda k: jnp.sum(u * conv(v, k, strides, padding)))(kernel)


def gradient(function, x):
    """``function(x)`` (a scalar) and its gradient with respect to ``x``."""
    return jax.value_and_grad(function)(jnp.asarray(x))


def jvp(function, x, tangent):
    """``function(x)`` and ``J(x) tangent``, for nests of tensors."""
    return jax.jvp(function, (x,), (tangent,))


def compile(function, variables=()):
    """``function``, compiled once per set of input shapes.

    Variables of Keras that it reads and that change between calls are to be given:
    the values of others become constants.
    """

    @jax.jit
    def pure(values, *arguments):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    return lambda *arguments: pure([v.value for v in variables], *arguments)


def scan(step, state, xs, unroll=None, assigns=False):
    """``state, y = step(state, x)`` over the first axis of ``xs``.

    ``state`` and ``xs`` are nests of arrays; ``y`` is one array. Returns the last
    state and the stacked outputs. Up to ``unroll`` steps are traced one by one, and
    all of them where a step ``assigns`` to variables: what is assigned inside a scan
    cannot leave it.
    """
    unroll = _UNROLL if unroll is None else unroll
    length = jax.tree.leaves(xs)[0].shape[0]
    if length > unroll and not assigns:
        return jax.lax.scan(step, state, xs)
    ys = []
    for i in range(length):
        state, y = step(state, jax.tree.map(lambda x, i=i: x[i], xs))
        ys.append(y)
    return state, jnp.stack(ys)


def on_host(function, shape, *tensors):
    """A NumPy function of tensors, float32 of a known shape; no gradient."""
    return jax.pure_callback(
        lambda *arrays: function(*map(np.asarray, arrays)).astype("float32"),
        jax.ShapeDtypeStruct(shape, "float32"),
        *tensors,
    )


def fed(dataset, shuffle=True, class_weight=None):
    """A ``keras.utils.PyDataset`` as ``fit`` should be given it: as it is."""
    return dataset


def outside_graph():
    """Context: values computed at once, also while a function is being traced."""
    return jax.ensure_compile_time_eval()


def full_float32():
    """Context: no TensorFloat-32 or bfloat16 products inside float32 ones."""
    return jax.default_matmul_precision("highest")


def fast_bfloat16():
    """Whether the accelerator multiplies fast in bfloat16; None without accelerator.

    NVIDIA's do from compute capability 8.0 (Ampere) on, and TPUs do.
    """
    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    return device.platform == "tpu" or (
        float(getattr(device, "compute_capability", 0)) >= 8
    )


def limit_threads(count):
    """JAX has no such setting: a warning names another way."""
    warnings.warn(
        f"JAX cannot be limited to {count} threads. Run the command under "
        f"'taskset -c 0-{count - 1}', or use KERAS_BACKEND=tensorflow",
        stacklevel=2,
    )
