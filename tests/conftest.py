"""Settings of every test, made before Keras is imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# One thread for the witnesses' linear algebra: more only stand in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest


@pytest.fixture
def random():
    """A NumPy generator, the same at every run."""
    return np.random.default_rng(0)
