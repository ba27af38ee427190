"""Recurrent video restoration that stays stable on videos of any length.

``.keras`` files with our models load after ``import stablevid_tf.models``, or after
``import stablevid_tf`` where Keras was imported before it. The package itself does not
import Keras: the command line answers without waiting seconds for it.
"""

import sys

if "keras" in sys.modules:
    import stablevid_tf.models  # noqa: F401
