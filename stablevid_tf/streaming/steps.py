from keras import ops

from stablevid_tf.models.flushed import flushed


def steps(model, frames):
    """Restores frames from first to last, from the zero state on.

    Args:
        model: as for `restore`.
        frames: iterable of checked float32 [H, W, C] arrays.

    Yields:
        [scale H, scale W, C] arrays, as many as `frames`.
    """
    state = None
    for index, frame in enumerate(flushed(frames, model.latency)):
        frame = ops.convert_to_tensor(frame[None])
        if state is None:
            state = model.initial_state(frame)
        out, state = model.step(frame, state)
        if index >= model.latency:
            yield ops.convert_to_numpy(out)[0]
