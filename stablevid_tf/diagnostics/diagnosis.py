import dataclasses
from pathlib import Path

from stablevid_tf.diagnostics.report import page

_PARTS = {
    "field": "Temporal receptive field",
    "recovery": "Recovery",
    "long_run": "Long run",
    "lyapunov": "Lyapunov rate",
    "certificate": "Certificate",
    "spectra": "Spectra",
}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What all tests of a model said; see :func:`stablevid_tf.diagnostics.diagnose`.

    Attributes:
        name: of the model.
        field, recovery, long_run, lyapunov, certificate, spectra: the results of the
            tests; a string, the reason, where one could not be made.
        settings: what the tests were made with.
    """

    name: str
    field: object
    recovery: object
    long_run: object
    lyapunov: object
    certificate: object
    spectra: object
    settings: dict

    @property
    def verdict(self):
        """Of the whole: one of those of ``diagnose``, or ``"unknown"``."""
        unprovoked = _verdict(self.long_run)
        if unprovoked in ("diverges", "drifts"):
            return unprovoked
        if _verdict(self.field) == "diverges":
            return "diverges only when provoked"
        return "stable" if unprovoked == "stable" else "unknown"

    @property
    def reason(self):
        """The verdict in a sentence or two: what decided, and what to do."""
        proved = _verdict(self.certificate) == "certified"
        if self.verdict == "stable":
            if proved:
                return "Proved, and measured: it may run for ever."
            found = "Nothing made it fail"
            if _verdict(self.field) != "stable":
                found = "It did not fail, though the search for input that harms it is "
                found += "undecided (a longer field, tau, may tell)"
            return (
                f"{found}, and nothing proves that nothing can: let a guard watch what "
                "must run unattended."
            )
        if self.verdict == "diverges only when provoked":
            return (
                "Ordinary video did not harm it, but there is input that does"
                + self._return()
                + " Run it under a guard, or in bursts."
            )
        if self.verdict == "unknown":
            return "A test that decides could not be made; see below."
        provoked = _verdict(self.field) == "diverges"
        also = f" Provoked, it diverges{self._return()}" if provoked else ""
        return "Do not run it on long videos but under a guard, or in bursts." + also

    def _return(self):
        if isinstance(self.recovery, str):
            return "."
        if self.recovery.recovered:
            return f"; it returns within {self.recovery.frames_needed} frames."
        return ", and once harmed it does not return."

    def parts(self):
        """``(title, result or reason)`` of every test, in the order of the report."""
        return [(title, getattr(self, name)) for name, title in _PARTS.items()]

    def summary(self):
        """The verdict, its reason, and what each test said, a line each."""
        lines = [f"{self.name}: {self.verdict}. {self.reason}"]
        for title, part in self.parts():
            said = part if isinstance(part, str) else part.summary()
            lines.append(f"{title}: {said}")
        return "\n".join(lines)

    def save(self, folder):
        """Write ``report.html``, which needs no other file, and its pictures as PNG.

        Args:
            folder: made if it is not there.

        Returns:
            The path of the report.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {}
        for name in _PARTS:
            part = getattr(self, name)
            if not isinstance(part, str):
                part.plot(folder / f"{name}.png")
                pictures[_PARTS[name]] = (folder / f"{name}.png").read_bytes()
        path = folder / "report.html"
        path.write_text(page(self, pictures), encoding="utf-8")
        return path


def _verdict(part):
    return None if isinstance(part, str) else getattr(part, "verdict", None)
