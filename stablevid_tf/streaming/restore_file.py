import collections
import contextlib
import warnings

import numpy as np
import tqdm

from stablevid_tf.data.video import create_video, open_video
from stablevid_tf.data.video_target import refuse_same
from stablevid_tf.streaming.ahead import ahead
from stablevid_tf.streaming.restore import restore

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def restore_file(
    model,
    source,
    target,
    *,
    crf=None,
    lossless=False,
    overwrite=False,
    rate=None,
    allow_damaged=False,
    strategy=None,
    look_ahead=None,
    tile=None,
    overlap=None,
    progress=True,
):
    """Restores a video file or a folder of images into another.

    Every frame that comes in goes out, with its time. Sound, colour matrix and
    range, and pixel aspect are kept; rotation is applied to the pixels. Reading,
    restoring and writing run side by side, in memory that does not grow with the
    length. The target appears only when it is complete. A grey model gives a grey
    video.

    Args:
        model: as for `restore`.
        source: a video file, a folder of images, or a pattern of image names.
        target: a file name with a video suffix, or a folder for PNG files.
        crf: int, quality of the target, 0 (best) to 51; default 18.
        lossless: bool, store RGB bit by bit.
        overwrite: bool, replace what stands at `target`.
        rate: frames per second of images; 24 if None.
        allow_damaged: bool, restore what can be decoded of a truncated or damaged
            file instead of refusing it.
        strategy, look_ahead, tile, overlap: as for `restore`.
        progress: bool, show a bar with frames per second and the time left.

    Returns:
        int, the number of frames.

    Raises:
        FileNotFoundError, FileExistsError, VideoError, ValueError: as
            `data.open_video`, `data.create_video` and `restore`; source and
            target are the same.

    Example:
        >>> import tempfile
        >>> from stablevid_tf import models, streaming
        >>> from stablevid_tf.data.images_writer import ImageWriter
        >>> folder = tempfile.mkdtemp()
        >>> with ImageWriter(folder + "/in") as out:
        ...     for time in range(3):
        ...         out.write(np.zeros([32, 48, 3]), time)
        >>> model = models.build("vresnet_feat", features=8, blocks=1)
        >>> streaming.restore_file(
        ...     model, folder + "/in", folder + "/out.mp4", rate=25, progress=False
        ... )
        3
    """
    refuse_same(source, target)
    with contextlib.ExitStack() as stack:
        video = stack.enter_context(open_video(source, rate, allow_damaged))
        times = collections.deque()
        grey = model.channels == 1
        if grey:
            warnings.warn("the model is grey: colour is left behind", stacklevel=2)
        # Leaving closes these from last to first, each waiting for its thread.
        frames = stack.enter_context(
            contextlib.closing(ahead(_floats(video, times, grey)))
        )
        images = restore(
            model,
            frames,
            strategy,
            look_ahead=look_ahead,
            tile=tile,
            overlap=overlap,
        )
        restored = stack.enter_context(contextlib.closing(ahead(images)))
        bar = stack.enter_context(
            tqdm.tqdm(total=video.info.frames, unit=" frames", disable=not progress)
        )
        out = stack.enter_context(
            create_video(target, video.info, crf, lossless, overwrite)
        )
        count = 0
        for image in restored:
            out.write(image, *times.popleft())
            bar.update()
            count += 1
        return count


def _floats(video, times, grey):
    for frame in video:
        times.append((frame.time, frame.duration, frame.name))
        image = frame.image.astype(np.float32) / 255
        yield (image @ _LUMA)[..., None] if grey else image
