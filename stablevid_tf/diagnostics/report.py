"""The diagnosis as one HTML page that needs no other file and no network."""

import base64
import html
import string

import keras

_GOOD = ("stable", "certified", "recovers", "contracts")
_BAD = ("diverges", "drifts", "does not recover", "expands")

_PAGE = string.Template(
    """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$name: $verdict</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.2rem; font-weight: 600; margin: 0; }
h2 { font-size: 1.05rem; margin: 2.5rem 0 .5rem; }
.verdict { border-left: .6rem solid; padding: .6rem 1rem; margin: 1rem 0 2rem; }
.verdict strong { display: block; font-size: 2rem; line-height: 1.2; }
.verdict.good { border-color: #2a7d46; } .verdict.bad { border-color: #b3261e; }
.verdict.other { border-color: #9a6b00; }
td.good { color: #2a7d46; } td.bad { color: #b3261e; } td.other { color: #7a5600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1rem .35rem 0;
         border-bottom: 1px solid #ddd; }
td:nth-child(2) { font-weight: 600; min-width: 7rem; }
img { max-width: 100%; }
footer { color: #666; font-size: .85rem; margin-top: 3rem; }
</style>
<h1>$name</h1>
<div class="verdict $colour"><strong>$verdict</strong>$reason</div>
<table>
<tr><th>test</th><th>verdict</th><th>result</th></tr>
$rows</table>
$sections
<footer>stablevid diagnose &middot; $settings &middot; Keras $keras</footer>
</html>
"""
)


def page(diagnosis, pictures):
    """The text of the HTML page.

    Args:
        diagnosis: a `diagnostics.Diagnosis`.
        pictures: `{title of a test: PNG bytes}`.
    """
    rows, sections = [], []
    for title, part in diagnosis.parts():
        made = not isinstance(part, str)
        verdict = getattr(part, "verdict", "") if made else "not made"
        said = html.escape(part.summary() if made else part)
        rows.append(
            f"<tr><td>{title}</td><td class={_colour(verdict)}>"
            f"{html.escape(verdict)}</td><td>{said}</td></tr>\n"
        )
        if title in pictures:
            data = base64.b64encode(pictures[title]).decode()
            sections.append(
                f'<h2>{title}</h2>\n<img alt="{title}: {html.escape(verdict)}" '
                f'src="data:image/png;base64,{data}">\n'
            )
    settings = ", ".join(f"{k} {v}" for k, v in diagnosis.settings.items())
    return _PAGE.substitute(
        name=html.escape(diagnosis.name),
        verdict=html.escape(diagnosis.verdict),
        colour=_colour(diagnosis.verdict),
        reason=html.escape(diagnosis.reason),
        rows="".join(rows),
        sections="".join(sections),
        settings=html.escape(settings),
        keras=keras.__version__,
    )


def _colour(verdict):
    return "good" if verdict in _GOOD else "bad" if verdict in _BAD else "other"
