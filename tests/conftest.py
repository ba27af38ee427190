"""Settings of every test, made before Keras is imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# One thread for the witnesses' linear algebra: more only stand in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from types import SimpleNamespace

import numpy as np
import pytest
from hub_server import TOKEN, HubServer, use_hub


@pytest.fixture
def random():
    """A NumPy generator, the same at every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def _served():
    server = HubServer()
    yield server
    server.shutdown()


@pytest.fixture
def hub_server(_served, tmp_path, monkeypatch):
    """An empty Hub on loopback, an empty cache, and no waiting between retries."""
    pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    _served.repositories.clear()
    _served.requests.clear()
    _served.fault = _served.fault_method = _served.refs = None
    _served.lies, _served.sent = {}, 0
    use_hub(monkeypatch, _served.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name, value in {
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_ETAG_TIMEOUT": 1.0,
        "HF_HUB_DOWNLOAD_TIMEOUT": 1.0,
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    hurry = SimpleNamespace(**vars(time) | {"sleep": lambda _: None})
    monkeypatch.setattr("huggingface_hub.file_download.time", hurry)
    monkeypatch.setattr("huggingface_hub.utils._http.time", hurry)
    return _served
