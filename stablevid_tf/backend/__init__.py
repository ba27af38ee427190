"""The only room that names a framework.

Everything above this floor is written in Keras ops and in the few functions listed
here, so that one source trains on TensorFlow (the reference) and on JAX (for
accelerators and more than one machine). Both modules offer the same names:

=====================  ========================================================
``conv``               convolution, 1 to 3 spatial dimensions, channels last
``conv_adjoint``       its adjoint (transposed convolution) onto a given size
``conv_kernel_grad``   gradient of ``<u, K * v>`` with respect to ``K``
``gradient``           value and gradient of a scalar function
``jvp``                value and forward-mode product of a function
``compile``            a function, traced once per shape
``scan``               a loop over the first axis with carried state
``on_host``            a NumPy function of tensors, also in a traced function
``fast_bfloat16``      whether the accelerator is fast in bfloat16, None without one
``fed``                a ``keras.utils.PyDataset`` as ``fit`` should be given it
``limit_threads``      limits the CPU threads of an operation, before the first one
``outside_graph``      context in which values are computed at once, even while
                       a graph is being traced
``full_float32``       context without reduced-precision float32 products
``XLA_PAYS``           whether Keras should compile models with XLA
=====================  ========================================================
"""

import keras

if keras.backend.backend() == "tensorflow":
    from stablevid_tf.backend.tensorflow import *  # noqa: F403
elif keras.backend.backend() == "jax":
    from stablevid_tf.backend.jax import *  # noqa: F403
else:
    raise ImportError(
        "stablevid_tf runs on Keras with the TensorFlow or the JAX backend. "
        f"Received: KERAS_BACKEND={keras.backend.backend()!r}. "
        "Set KERAS_BACKEND=tensorflow (or jax) before the first import of keras."
    )
