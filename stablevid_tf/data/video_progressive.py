import warnings

import av


def progressive(frames, name):
    """Deinterlaces from the first interlaced frame on; one frame out per frame in.

    Bob-weave deinterlacing (FFmpeg's `bwdif`) leaves frames alone that do not say
    that they are interlaced. Yields PyAV frames with the times they came with.

    Args:
        frames: iterator of `av.VideoFrame`.
        name: str, the file's name, for the warning.
    """
    graph, times = None, []
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None:
            warnings.warn(
                f"{name}: interlaced video is deinterlaced to whole frames",
                stacklevel=2,
            )
            graph = _graph(frame)
        times.append((frame.pts, frame.duration, frame.time_base))
        graph.push(frame)
        yield from _pull(graph, times)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph, times)


def _graph(frame):
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    # One frame for each frame, not for each field.
    graph.link_nodes(
        source,
        graph.add("bwdif", "mode=send_frame:deint=interlaced"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _pull(graph, times):
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        frame.pts, frame.duration, frame.time_base = times.pop(0)
        yield frame
