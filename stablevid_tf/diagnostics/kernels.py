"""The convolutions of a network: their names, and the kernels that run."""

import keras
from keras import ops

from stablevid_tf.cells import RecurrentVideoCell
from stablevid_tf.layers import ReparametrisedConv2D, SRNCConv2DTranspose
from stablevid_tf.models import RecurrentRestorer
from stablevid_tf.models.restorer import Restorer

TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    SRNCConv2DTranspose,
)
CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    *TRANSPOSED,
    ReparametrisedConv2D,
)
# Convolutions too, but without a known norm.
OTHERS = (
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def network_of(model):
    """The folded network of a restorer or cell; of another model its cell, or itself.

    That is the network that `diagnostics.subject.Subject` runs. Clip networks and
    models without a state are accepted too.
    """
    if isinstance(model, RecurrentVideoCell):
        model = RecurrentRestorer(model)
    if isinstance(model, Restorer):
        model.build()
        return model.fold().network
    return getattr(model, "cell", model)


def declared_loops(network):
    """The feedback loops that a network declares; None without a declaration."""
    try:
        return network.loops() if hasattr(network, "loops") else None
    except NotImplementedError:
        return None


def kernel_of(conv):
    """The kernel that runs: float64, with values that the layer's own dtype can hold.

    Raises:
        ValueError: the norm of `conv` is unknown (grouped, depthwise), the layer is
            not built, or its kernel holds values that are not finite.
    """
    if not isinstance(conv, CONVOLUTIONS) or getattr(conv, "groups", 1) != 1:
        raise ValueError(
            f"{type(conv).__name__} is unsupported: the norm is known only for plain "
            "convolutions with one group"
        )
    if not conv.built:
        raise ValueError("the layer is not built yet; call the model once")
    own = isinstance(conv, ReparametrisedConv2D)
    kernel = conv.effective_kernel() if own else conv.kernel
    kernel = ops.convert_to_numpy(ops.cast(kernel, conv.compute_dtype))
    kernel = kernel.astype("float64")
    if not abs(kernel).max() < float("inf"):
        raise ValueError("the kernel holds values that are not finite")
    return kernel


def slice_of(part):
    """The kernel of a `layers.loop.ConvSlice`: its own inputs.

    Batch normalisation that follows is folded in, as inference applies it.
    """
    kernel, channels = kernel_of(part.conv), slice(part.start, part.stop)
    # Keras keeps a transposed kernel as [*taps, cout, cin].
    transposed = isinstance(part.conv, TRANSPOSED)
    kernel = kernel[..., channels] if transposed else kernel[..., channels, :]
    if part.batch_norm is None:
        return kernel
    gain = _batch_norm_gain(part.batch_norm)
    return kernel * (gain[:, None] if transposed else gain)


def _batch_norm_gain(layer):
    """`gamma / sqrt(variance + epsilon)`, one of each channel."""
    number = lambda x: ops.convert_to_numpy(x).astype("float64")  # noqa: E731
    gain = 1 / (number(layer.moving_variance) + layer.epsilon) ** 0.5
    return gain * number(layer.gamma) if layer.scale else gain


def slice_name(part, names):
    """`"body[2].conv1[64:]"`: a convolution and the input channels of a slice."""
    name = names.get(part.conv, part.conv.name)
    if part.start is None and part.stop is None:
        return name
    start, stop = ("" if end is None else end for end in (part.start, part.stop))
    return f"{name}[{start}:{stop}]"


def layer_names(network):
    """`{layer: name}` of every layer below; a name is the path of attributes to it.

    Example:
        >>> from stablevid_tf import models
        >>> from stablevid_tf.diagnostics.kernels import layer_names
        >>> cell = models.build("vresnet_feat", features=4, blocks=1).cell
        >>> layer_names(cell)[cell.body[0].conv2]
        'body[0].conv2'
    """
    names = {}
    _name_below(network, "", names)
    return names


def _name_below(layer, before, names):
    for name, child in _children(layer):
        if child not in names:
            names[child] = before + name
            _name_below(child, f"{before}{name}.", names)


def _children(layer):
    """`(attribute, layer)`; then the layers held otherwise, by their own names."""
    for name, value in vars(layer).items():
        if name.startswith("_"):
            continue
        if isinstance(value, keras.layers.Layer):
            yield name, value
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                if isinstance(item, keras.layers.Layer):
                    yield f"{name}[{i}]", item
    if isinstance(layer, keras.layers.Layer):
        for child in layer._flatten_layers(include_self=False, recursive=False):
            yield child.name, child
