"""What the tables' numbers say of a paper's claims, by rules and not by hand.

`found` is ``{row: {column: value}}``.
"""

import math

MISSING = "a row is missing, or has no number"


def more(found, a, b, column):
    """By how much row `a` lies above row `b`; None where one has no such number.

    NaN, of a network that failed, is none.
    """
    a, b = (found.get(row, {}).get(column) for row in (a, b))
    known = all(x is not None and math.isfinite(x) for x in (a, b))
    return a - b if known else None


def spread(found, rows, column):
    """The largest difference between a row and its twin `row_seed1`, or None."""
    pairs = [more(found, row, f"{row}_seed1", column) for row in rows]
    return None if None in pairs else max(map(abs, pairs))


def judged(claim, difference, margin):
    """:func:`said` of a claim that `difference` is above 0.

    It holds or not where the difference is larger than `margin`, such as what two seeds
    differ by. None: a row is missing.
    """
    if difference is None or margin is None:
        return said(claim, MISSING)
    holds = difference > 0 if abs(difference) > margin else None
    return said(f"{claim} ({difference:+.2f}; told beyond {margin:.2f})", holds)


def all_judged(claim, differences, margin):
    """:func:`said` of a claim that each of ``{what: difference}`` is above 0.

    It holds where all are larger than `margin`, fails where one is below minus it.
    """
    values = differences.values()
    if None in values or margin is None:
        return said(claim, MISSING)
    holds = True if min(values) > margin else False if min(values) < -margin else None
    told = ", ".join(f"{what} {value:+.2f}" for what, value in differences.items())
    return said(f"{claim} ({told}; told beyond {margin:.2f})", holds)


def said(claim, holds):
    """Print a claim and what is found: True, False, MISSING, or None, not telling."""
    words = {True: "agrees", False: "disagrees", None: "cannot be told at this size"}
    verdict = words.get(holds, holds)
    print(f"{claim}: {verdict}.")
    return verdict


def as_in_paper(claim, verdicts, should, control):
    """:func:`said` of rows that fail and rows that are stable.

    Args:
        verdicts: ``{row: what stability() found}``; None: the row is missing.
        should: ``{row: whether it is stable in the paper}``.
        control: the verdict of a row that fails in the paper.

    False where one fails that should be stable; True where all do as in the paper;
    else rows that should fail and do not: False if the control fails, None if it does
    not, where a smaller model of a shorter training may just be stable. None too
    where one is undecided.
    """
    if None in verdicts.values():
        return said(claim, MISSING)
    stable = {"proved": True, "passes": True, "fails": False}
    seen = {name: stable.get(verdict) for name, verdict in verdicts.items()}
    if any(should[name] and seen[name] is False for name in should):
        holds = False
    elif None in seen.values():
        holds = None
    else:
        holds = True if seen == should else False if control == "fails" else None
    told = ", ".join(f"{name} {verdict}" for name, verdict in verdicts.items())
    return said(f"{claim} ({told})", holds)
