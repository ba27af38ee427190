"""Recurrent video restoration that stays stable on videos of any length.

``.keras`` files with our models load after ``import stablevid_tf.models``, or after
``import stablevid_tf`` where Keras was imported before it. The package itself does not
import Keras: the command line answers without waiting seconds for it.
"""

import sys

if "keras" in sys.modules:
    import stablevid_tf.models  # noqa: F401


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        return version("stablevid-tf")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
