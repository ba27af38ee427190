import io
import warnings
from fractions import Fraction

import av


class VideoSound:
    """Carries the sound of one file into another, packet by packet.

    A stream that the new container cannot hold is encoded anew with the
    container's usual codec, with a `UserWarning` that says so.

    Args:
        source: Path of the file with the sound.
        target: `av.container.OutputContainer`, before its first packet.
        origin: Fraction, seconds to subtract from the source's times.
    """

    def __init__(self, source, target, origin=Fraction(0)):
        self._target, self._origin = target, origin
        self._source = av.open(str(source), metadata_errors="replace")
        self._routes = {}
        for stream in self._source.streams.audio:
            self._routes[stream.index] = _route(stream, target)
        self._packets = self._source.demux(*self._source.streams.audio)
        self._pending = next(self._packets, None)

    def write(self, until=None):
        """Writes what sounds before `until` seconds; None for all the rest."""
        while self._pending is not None:
            packet = self._pending
            if packet.dts is not None:  # the last packet of each stream is empty
                time = packet.dts * packet.time_base - self._origin
                if until is not None and time > until:
                    return
                shift = round(self._origin / packet.time_base)
                packet.dts -= shift
                packet.pts = None if packet.pts is None else packet.pts - shift
            self._target.mux(self._routes[packet.stream.index](packet))
            self._pending = next(self._packets, None)

    def close(self):
        """Lets go of the source."""
        self._source.close()


def _route(stream, target):
    """A function from a source packet to the packets to write for it."""
    if _holds(stream, target.format.name):
        out = target.add_stream_from_template(stream)
        out.metadata.update(stream.metadata)
        return lambda packet: _copy(packet, out)
    codec = {"webm": "libopus", "matroska": "libopus"}.get(target.format.name, "aac")
    warnings.warn(
        f"{stream.codec_context.name} sound cannot stand in a "
        f"{target.format.name} file; it is encoded anew as {codec}",
        stacklevel=4,
    )
    rate = 48000 if codec == "libopus" else min(stream.codec_context.sample_rate, 96000)
    out = target.add_stream(codec, rate=rate, layout=stream.codec_context.layout.name)
    out.metadata.update(stream.metadata)
    return _Transcoder(out)


def _holds(stream, name):
    """Whether a container takes a stream's packets as they are: by trying."""
    trial = av.open(io.BytesIO(), "w", format=name)
    try:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
        return True
    except (ValueError, av.FFmpegError):
        return False
    finally:
        trial.close()


def _copy(packet, out):
    if packet.dts is None:  # demuxing ends with an empty packet
        return []
    packet.stream = out
    return [packet]


class _Transcoder:
    def __init__(self, out):
        self._out, self._resampler = out, None

    def __call__(self, packet):
        encoder = self._out.codec_context
        if self._resampler is None:
            encoder.open(strict=False)
            self._resampler = av.AudioResampler(
                format=encoder.format,
                layout=encoder.layout,
                rate=encoder.sample_rate,
                frame_size=encoder.frame_size or None,
            )
        packets = []
        frames = [*packet.decode(), *([None] if packet.dts is None else [])]
        for frame in frames:
            for piece in self._resampler.resample(frame):
                packets += self._out.encode(piece)
        if packet.dts is None:
            packets += self._out.encode(None)
        return packets
