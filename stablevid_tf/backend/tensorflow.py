"""TensorFlow: the reference backend."""

import contextlib

import tensorflow as tf
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

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

# XLA over a while loop is ten times slower than the plain graph on a CPU.
XLA_PAYS = False

# Up to this many frames a time loop is unrolled: the same speed as a while loop
# and a gradient that every tool understands.
_UNROLL = 16

_CONV = {3: tf.nn.conv1d, 4: tf.nn.conv2d, 5: tf.nn.conv3d}
_ADJOINT = {
    3: tf.nn.conv1d_transpose,
    4: tf.nn.conv2d_transpose,
    5: tf.nn.conv3d_transpose,
}


def _strides(kernel, strides):
    rank = len(kernel.shape) - 2
    strides = (strides,) * rank if isinstance(strides, int) else tuple(strides)
    return (1, *strides, 1)


def conv(x, kernel, strides=1, padding="same"):
    """``K * x`` with ``x`` [B, *space, cin] and ``kernel`` [*taps, cin, cout]."""
    kernel = tf.convert_to_tensor(kernel)
    return _CONV[len(kernel.shape)](
        x, kernel, _strides(kernel, strides), padding.upper()
    )


def conv_adjoint(y, kernel, input_shape, strides=1, padding="same"):
    """``K^T * y``: the adjoint of :func:`conv` onto ``input_shape``."""
    kernel = tf.convert_to_tensor(kernel)
    return _ADJOINT[len(kernel.shape)](
        y, kernel, input_shape, _strides(kernel, strides), padding.upper()
    )


def conv_kernel_grad(v, u, kernel, strides=1, padding="same"):
    """``grad_K <u, K * v>``, the shape of ``kernel``; linear in ``u`` and ``v``."""
    with tf.GradientTape() as tape:
        kernel = tf.stop_gradient(tf.convert_to_tensor(kernel))
        tape.watch(kernel)
        gain = tf.reduce_sum(u * conv(v, kernel, strides, padding))
    return tape.gradient(gain, kernel)


def gradient(function, x):
    """``function(x)`` (a scalar) and its gradient with respect to ``x``."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x)


def jvp(function, x, tangent):
    """``function(x)`` and ``J(x) tangent``, for nests of tensors."""
    flat = tf.nest.flatten(x)
    with tf.autodiff.ForwardAccumulator(flat, tf.nest.flatten(tangent)) as forward:
        value = function(x)
    products = [
        forward.jvp(v, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        for v in tf.nest.flatten(value)
    ]
    return value, tf.nest.pack_sequence_as(value, products)


def compile(function, variables=()):
    """``function`` as a graph, traced once per set of input shapes.

    Graphs read variables as they are: ``variables`` is for JAX, which must know.
    """
    return tf.function(function, autograph=False, jit_compile=False)


def scan(step, state, xs, unroll=None, assigns=False):
    """``state, y = step(state, x)`` over the first axis of ``xs``.

    ``state`` and ``xs`` are nests of tensors; ``y`` is one tensor. Returns the last
    state and the stacked outputs. Up to ``unroll`` steps stand in the graph one by one.
    Steps may assign to variables: ``assigns`` is for JAX, which must know.
    """
    pack, flatten = tf.nest.pack_sequence_as, tf.nest.flatten
    at = lambda i: tf.nest.map_structure(lambda x: x[i], xs)  # noqa: E731
    unroll = _UNROLL if unroll is None else unroll
    length = flatten(xs)[0].shape[0]
    if length is not None and length <= unroll:
        ys = []
        for i in range(length):
            state, y = step(state, at(i))
            ys.append(y)
        return state, tf.stack(ys)

    count = tf.shape(flatten(xs)[0])[0]
    # The first step stands before the loop: it tells the outputs' type and shape.
    state, first = step(state, at(0))
    ys = tf.TensorArray(first.dtype, size=count, element_shape=first.shape)

    def body(i, flat, ys):
        new, y = step(pack(state, flat), at(i))
        return i + 1, flatten(new), ys.write(i, y)

    _, flat, ys = tf.while_loop(
        lambda i, *_: i < count,
        body,
        (1, flatten(state), ys.write(0, first)),
        parallel_iterations=1,
    )
    return pack(state, flat), ys.stack()


def on_host(function, shape, *tensors):
    """A NumPy function of tensors, float32 of a known shape; no gradient."""
    value = tf.numpy_function(
        lambda *arrays: function(*arrays).astype("float32"), tensors, tf.float32
    )
    value.set_shape(shape)
    return value


class _Untuned(PyDatasetAdapter):
    def get_tf_dataset(self):
        options = tf.data.Options()
        options.autotune.enabled = False
        return super().get_tf_dataset().with_options(options)


def fed(dataset, shuffle=True, class_weight=None):
    """A ``keras.utils.PyDataset`` as ``fit`` should be given it.

    Keras makes a tf.data pipeline of it. A thread that tunes pipelines, and finds
    nothing to tune in this one, sleeps for 10 ms, then 20, 40 and so on, and is waited
    for where an epoch ends: epochs took 1.3, 2.6, 5.1, 10.2 seconds and nothing between
    (TensorFlow 2.21; benchmarks/epochs.py).
    """
    return _Untuned(dataset, class_weight=class_weight, shuffle=shuffle)


def outside_graph():
    """Context: values computed at once, also while a graph is being traced."""
    return tf.init_scope()


@contextlib.contextmanager
def full_float32():
    """Context: no TensorFloat-32 products where the device would use them."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def fast_bfloat16():
    """Whether the accelerator multiplies fast in bfloat16; None without accelerator.

    NVIDIA's do from compute capability 8.0 (Ampere) on.
    """
    if not (gpus := tf.config.list_physical_devices("GPU")):
        return None
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("compute_capability", (0, 0)) >= (8, 0)


def limit_threads(count):
    """Limit the CPU threads of every operation; before the first operation runs.

    Raises:
        ValueError: TensorFlow runs already, with other limits.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)
    except RuntimeError as error:
        raise ValueError(
            f"TensorFlow runs already, so its threads cannot be limited to {count}. "
            "Set the limit in a new process"
        ) from error
