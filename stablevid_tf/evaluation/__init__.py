"""Measuring models with the protocols of the papers."""

from stablevid_tf.evaluation.evaluate import evaluate
from stablevid_tf.evaluation.evaluation_result import EvaluationResult
from stablevid_tf.evaluation.protocol import Protocol
from stablevid_tf.evaluation.protocols import PROTOCOLS

__all__ = ["PROTOCOLS", "EvaluationResult", "Protocol", "evaluate"]
