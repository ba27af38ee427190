import dataclasses
import os
from pathlib import Path
from typing import Any

from stablevid_tf.diagnostics.certify import Certificate
from stablevid_tf.diagnostics.long_run_result import LongRunResult
from stablevid_tf.diagnostics.lyapunov import LyapunovResult
from stablevid_tf.diagnostics.receptive_field_result import ReceptiveFieldResult
from stablevid_tf.diagnostics.recovery import RecoveryResult
from stablevid_tf.diagnostics.report import page
from stablevid_tf.diagnostics.spectra import Spectra

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
    """The results of all tests of a model; see `diagnostics.diagnose`.

    Attributes:
        name: the model's name.
        field, recovery, long_run, lyapunov, certificate, spectra: the results of the
            tests; if a test could not be made, a string with the reason.
        settings: the settings of the tests.
    """

    name: str
    field: ReceptiveFieldResult | str
    recovery: RecoveryResult | str
    long_run: LongRunResult | str
    lyapunov: LyapunovResult | str
    certificate: Certificate | str
    spectra: Spectra | str
    settings: dict[str, Any]

    @property
    def verdict(self) -> str:
        """The overall verdict: one of those that `diagnose` lists."""
        unprovoked = _verdict(self.long_run)
        if unprovoked in ("diverges", "drifts"):
            return unprovoked
        if _verdict(self.field) == "diverges":
            return "diverges only when provoked"
        return "stable" if unprovoked == "stable" else "unknown"

    @property
    def reason(self) -> str:
        """One or two sentences: what decided the verdict, and what to do."""
        proved = _verdict(self.certificate) == "certified"
        if self.verdict == "stable":
            if proved:
                return "Stability was proved and measured: it can run for ever."
            found = "No test made it fail."
            if _verdict(self.field) != "stable":
                found = (
                    "It did not fail, but the search for harmful input is undecided "
                    "(try a larger tau)."
                )
            return (
                f"{found} Stability was observed, not proved. Use a guard "
                "(`streaming.Guard`) if it runs unattended."
            )
        if self.verdict == "unknown":
            return "The long run, which decides, could not be made; see below."
        provoked = ""
        if _verdict(self.field) == "diverges":
            provoked = (
                f" The search found input that makes it diverge{self._recovery()}."
            )
        if self.verdict == "diverges only when provoked":
            return (
                f"It did not fail on ordinary video.{provoked} Run it with a guard "
                "(`streaming.Guard`) or in bursts (`streaming.Burst`)."
            )
        return (
            "Run it on long videos only with a guard (`streaming.Guard`) or in bursts "
            f"(`streaming.Burst`).{provoked}"
        )

    def _recovery(self):
        if isinstance(self.recovery, str):
            return ""
        if self.recovery.recovered:
            return f"; it recovers within {self.recovery.frames_needed} frames"
        return "; it does not recover"

    def parts(self) -> list[tuple[str, Any]]:
        """`(title, result or reason)` of every test, in the order of the report."""
        return [(title, getattr(self, name)) for name, title in _PARTS.items()]

    def summary(self) -> str:
        """The verdict and its reason, then one line for each test."""
        lines = [f"{self.name}: {self.verdict}. {self.reason}"]
        for title, part in self.parts():
            said = part if isinstance(part, str) else part.summary()
            lines.append(f"{title}: {said}")
        return "\n".join(lines)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `report.html`, which needs no other file, and its pictures as PNG.

        Args:
            folder: created if it does not exist.

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
