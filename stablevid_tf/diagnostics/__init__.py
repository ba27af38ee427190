"""Tests of whether a model can fail on a long video: measurement, proof, plots."""

from stablevid_tf.diagnostics.certify import Certificate, certify
from stablevid_tf.diagnostics.diagnose import diagnose
from stablevid_tf.diagnostics.diagnosis import Diagnosis
from stablevid_tf.diagnostics.layer_spectrum import LayerSpectrum
from stablevid_tf.diagnostics.long_run import long_run
from stablevid_tf.diagnostics.long_run_result import LongRunResult
from stablevid_tf.diagnostics.loop_bound import LoopBound
from stablevid_tf.diagnostics.lyapunov import LyapunovResult, lyapunov
from stablevid_tf.diagnostics.receptive_field import temporal_receptive_field
from stablevid_tf.diagnostics.receptive_field_result import ReceptiveFieldResult
from stablevid_tf.diagnostics.recovery import RecoveryResult, recovery
from stablevid_tf.diagnostics.spectra import Spectra, spectra

__all__ = [
    "Certificate",
    "Diagnosis",
    "LayerSpectrum",
    "LongRunResult",
    "LoopBound",
    "LyapunovResult",
    "ReceptiveFieldResult",
    "RecoveryResult",
    "Spectra",
    "certify",
    "diagnose",
    "long_run",
    "lyapunov",
    "recovery",
    "spectra",
    "temporal_receptive_field",
]
