"""Training: what ``model.fit`` needs beside Keras."""

from stablevid_tf.training.resume import Resume

__all__ = ["Resume"]
