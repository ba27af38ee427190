"""Training: what ``model.fit`` needs beside Keras."""

from stablevid_tf.training.averaged_weights import AveragedWeights
from stablevid_tf.training.carry_state import CarryState
from stablevid_tf.training.learning_curve import LearningCurve
from stablevid_tf.training.muon import Muon
from stablevid_tf.training.non_finite_guard import NonFiniteGuard
from stablevid_tf.training.pibptt import PIBPTT
from stablevid_tf.training.random_init import RandomInit
from stablevid_tf.training.recipe import Recipe
from stablevid_tf.training.resume import Resume
from stablevid_tf.training.run_folder import RunFolder
from stablevid_tf.training.tbptt import TBPTT

__all__ = [
    "PIBPTT",
    "TBPTT",
    "AveragedWeights",
    "CarryState",
    "LearningCurve",
    "Muon",
    "NonFiniteGuard",
    "RandomInit",
    "Recipe",
    "Resume",
    "RunFolder",
]
