"""The display matrix: which way up a phone held its sensor."""

import av
import numpy as np
from av.sidedata.sidedata import Type

from stablevid_tf.data.video_error import VideoError


def display_matrix(frame):
    """The [2, 2] integer matrix that takes stored to shown axes, or None.

    `[[a, b], [c, d]]` stands for x' = a x + c y, y' = b x + d y, with entries
    -1, 0 or 1, as FFmpeg's `AV_FRAME_DATA_DISPLAYMATRIX` has it.

    Raises:
        VideoError: the matrix is not a turn by quarters or a mirroring.
    """
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        data = _without_unknown(frame).side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    numbers = np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)
    matrix = np.rint(numbers[:2, :2] / 65536).astype(int)
    exact = np.allclose(numbers[:2, :2] / 65536, matrix, atol=1e-3)
    if not exact or not np.array_equal(matrix @ matrix.T, np.eye(2)):
        raise VideoError(
            "the file asks to be shown turned by other than quarter turns "
            f"(matrix {numbers[:2, :2].tolist()}); turn it upright first"
        )
    return None if np.array_equal(matrix, np.eye(2)) else matrix


def upright(image, matrix):
    """Turns or mirrors `image` [H, W, ...] the way it is meant to be seen."""
    if matrix is None:
        return image
    (a, b), (c, d) = matrix
    if a == 0:
        image, a, d = np.swapaxes(image, 0, 1), c, b
    return np.ascontiguousarray(image[::d, ::a])


def _without_unknown(frame):
    """The frame without side data that PyAV has no name for, such as EXIF.

    PyAV 18 cannot list side data of which it does not know one.
    """
    known = {kind.value for kind in Type}
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    graph.link_nodes(
        source,
        *(
            graph.add("sidedata", f"mode=delete:type={kind}")
            for kind in range(max(known) + 16)
            if kind not in known
        ),
        graph.add("buffersink"),
    ).configure()
    graph.push(frame)
    return graph.pull()
