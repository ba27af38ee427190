"""Effective kernels, computed once and used at every frame."""

import contextlib
import contextvars

# A context variable, not an attribute: replicas trace the same layer in threads.
_KERNELS = contextvars.ContextVar("stablevid_kernels", default=None)


@contextlib.contextmanager
def cached_kernels(kernels):
    """Context in which layers convolve with the kernels given.

    Args:
        kernels: ``{layer: kernel tensor}``, computed before a time loop and constant
            inside it.
    """
    token = _KERNELS.set({id(layer): kernel for layer, kernel in kernels.items()})
    try:
        yield
    finally:
        _KERNELS.reset(token)


def cached_kernel(layer):
    """The kernel given for ``layer``, or None outside :func:`cached_kernels`."""
    return (_KERNELS.get() or {}).get(id(layer))
