from typing import Any

import keras

from stablevid_tf.constraints import effective_kernels
from stablevid_tf.layers.kernel_cache import cached_kernels
from stablevid_tf.models.restorer import Restorer


@keras.saving.register_keras_serializable(package="stablevid_tf")
class ClipRestorer(Restorer):
    """A network that needs the whole clip at once (bidirectional), as a model.

    There is no ``step``: every output depends on the last frame too.

    Args:
        network: a clip network such as :class:`stablevid_tf.cells.BiRLSP`.

    Call arguments:
        frames: [B, T, H, W, channels], float32 in [0, 1]; any T, H, W. Or a clip out
            of a longer video, as :class:`stablevid_tf.training.PIBPTT` makes them:
            ``{"frames": ..., "state": ...}``.

    Output shape:
        [B, T, scale * H, scale * W, channels]; not clipped.

    Example:
        >>> import numpy as np
        >>> from stablevid_tf import models
        >>> model = models.build("vresnet_birlsp", features=8, blocks=2)
        >>> model(np.zeros((1, 4, 16, 16, 3), "float32")).shape
        TensorShape([1, 4, 16, 16, 3])
    """

    causal = False

    def call(self, frames: Any, training: bool = False) -> Any:
        frames, states = self.taken(frames)
        with cached_kernels(effective_kernels(self.network, training)):
            if states is None:
                return self.network(frames)
            return self.network.restore_from(frames, states, training)
