"""Arrays in memory, and on disk beyond a limit."""

import tempfile
from pathlib import Path

import numpy as np


class StateStore:
    """Arrays in memory, and on disk beyond a limit.

    Args:
        memory: the largest number of bytes in memory.
        folder: folder of the temporary files with the rest. Default: the system's.
    """

    def __init__(self, memory, folder=None):
        self._left = memory
        self._folder = folder
        self._files = None
        self.in_memory = self.on_disk = 0

    def array(self, shape, dtype):
        """An array of zeros, in memory if there is room, otherwise on disk."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size <= self._left:
            self._left -= size
            self.in_memory += size
            return np.zeros(shape, dtype)
        if self._files is None:
            if self._folder is not None:
                Path(self._folder).mkdir(parents=True, exist_ok=True)
            self._files = tempfile.TemporaryDirectory(
                prefix="states-", dir=self._folder
            )
        self.on_disk += size
        with tempfile.NamedTemporaryFile(dir=self._files.name, delete=False) as file:
            return np.memmap(file.name, dtype, "w+", shape=tuple(shape))
