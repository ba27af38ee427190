"""Tests of whether a model can fail on a long video: measurement, proof, plots."""

from stablevid_tf.diagnostics.certify import certify
from stablevid_tf.diagnostics.diagnose import diagnose
from stablevid_tf.diagnostics.long_run import long_run
from stablevid_tf.diagnostics.lyapunov import lyapunov
from stablevid_tf.diagnostics.receptive_field import temporal_receptive_field
from stablevid_tf.diagnostics.recovery import recovery
from stablevid_tf.diagnostics.spectra import spectra

__all__ = [
    "certify",
    "diagnose",
    "long_run",
    "lyapunov",
    "recovery",
    "spectra",
    "temporal_receptive_field",
]
