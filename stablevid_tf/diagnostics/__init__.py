"""Can this model fail on a long video? Measurement, proof, and pictures."""

from stablevid_tf.diagnostics.long_run import long_run

__all__ = ["long_run"]
