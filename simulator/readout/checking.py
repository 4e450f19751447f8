"""Whether a result can be believed: one judgement for each thing that goes wrong with A/B tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from simulator.readout.checks import Check, Verdict
from simulator.readout.findings import SRM_ALARM, Findings
from simulator.readout.statistics.estimate import p_text
from simulator.readout.statistics.power import POWER, users_needed
from simulator.readout.statistics.pre_period import ALARM
from simulator.readout.statistics.sequential import Look

__all__ = ["checks_of"]

MISCALIBRATED = 0.1  # of pCTR over CTR: rankings bear more, what multiplies pCTR by a price does not
LATE = 0.01  # share of clicks: that many labels are wrong
SMALL = 0.01  # an uplift that most feeds would still want to see


def checks_of(results: Findings) -> list[Check]:
    """What can be checked of this run, in the order in which a reader should ask."""
    makers: tuple[Callable[[Findings], Iterator[Check]], ...] = (
        _sample_ratio, _pre_period, _peeking, _power, _calibration, _stream,
    )  # fmt: skip
    return [check for make in makers for check in make(results)]


def _sample_ratio(results: Findings) -> Iterator[Check]:
    p, run = results.srm_p, results.run
    if math.isnan(p):
        return
    if not p < SRM_ALARM:
        yield Check("sample_ratio", "good", f"As many users are in each arm as its share says ({p_text(p)}).", "")
        return
    do = "Believe no figure here before you know which users are missing: the assignment or the logging is broken."
    if not run.shares_are_known:
        do += " If the arms were not meant to be of one size, say how large: --shares NAME=SHARE,..."
    yield Check("sample_ratio", "bad", f"The arms' numbers of users do not fit their shares ({p_text(p)}).", do)


def _pre_period(results: Findings) -> Iterator[Check]:
    if results.aa is None:
        return
    known = {arm: p for arm, p in results.aa.p.items() if not math.isnan(p)}
    if not known:
        return
    arm, p = min(known.items(), key=lambda item: item[1])
    if not results.aa.alarm:
        yield Check("pre_period", "good", f"Before A/B the arms' CTRs differ by no more than luck ({p_text(p)}).", "")
        return
    own = (results.run.config.get("experiment") or {}).get("aa") == "own"
    do = (
        "Each arm had a learner of its own in A/A, whose luck differs too: repeat it with other seeds."
        if own
        else "Look for what served them differently; until then believe A/B − A/A or CUPED rather than raw."
    )
    yield Check(
        "pre_period", "bad", f"{arm} differed before A/B, when all arms were served alike ({p_text(p)} < {ALARM}).", do
    )


def _peeking(results: Findings) -> Iterator[Check]:
    looks = {arm: found for arm, found in results.sequential.items() if len(found) > 1}
    if not looks:
        return
    crossed = [(arm, look) for arm, found in looks.items() if (look := _first_crossed(found)) is not None]
    if early := [(arm, look) for arm, found in looks.items() if (look := _tempting(found)) is not None]:
        arm, look = early[0]
        yield Check(
            "peeking",
            "warn",
            f"On day {look.day + 1} the 95% interval of {arm} left 0 ({look.estimate.relative:+.2%}), which no bound for daily "
            "looks confirmed, then or later.",
            "An interval up to a day is valid only if that is the one day you look. Judge at the planned end, or by the sequential bounds.",
        )
    elif crossed:
        said = ", ".join(f"{arm} on day {look.day + 1}" for arm, look in crossed)
        yield Check(
            "peeking", "good", f"The bounds for daily looks were passed: {said}. Who stopped then was right to.", ""
        )
    else:
        yield Check(
            "peeking", "good", "No daily look passed the bounds for it, and no fixed interval left 0 early.", ""
        )


def _first_crossed(looks: list[Look]) -> Look | None:
    return next((look for look in looks if look.crossed), None)


def _tempting(looks: list[Look]) -> Look | None:
    """The first look before the end whose fixed interval left 0, where no look passed its bound, then or later."""
    if _first_crossed(looks) is not None:
        return None
    return next((look for look in looks[:-1] if look.estimate.lo > 0 or look.estimate.hi < 0), None)


def _power(results: Findings) -> Iterator[Check]:
    worst = {arm: mde for arm, mde in results.mde.items() if not math.isnan(mde)}
    if not worst:
        return
    arm, mde = max(worst.items(), key=lambda item: item[1])
    found = results.uplift[arm][results.headline]
    says = f"This run finds an uplift of {arm} from {mde:.2%} on, in {POWER:.0%} of the cases; it saw {found.relative:+.2%}."
    if not found.lo <= 0 <= found.hi or mde <= SMALL:
        yield Check("power", "good", says, "")
        return
    users = sum(row.users for row in results.phases if row.phase == "ab" and row.arm in (results.run.control, arm))
    needed = users_needed(SMALL, found.log_error, users)
    yield Check(
        "power", "warn", says,
        f"Nothing found does not mean nothing there: {SMALL:.0%} would take about {_rounded(needed)} users in these two arms "
        f"instead of {users:,}, or a longer test.",
    )  # fmt: skip


def _rounded(users: float) -> str:
    """Two digits: it is no more certain."""
    digits = 1 - math.floor(math.log10(users))
    return f"{round(users, digits):,.0f}"


def _calibration(results: Findings) -> Iterator[Check]:
    known = {arm: found["calibration"] for arm, found in results.quality.items()}
    known = {arm: value for arm, value in known.items() if not math.isnan(value)}
    off = {arm: value for arm, value in known.items() if abs(value - 1) > MISCALIBRATED}
    if off:
        said = ", ".join(
            f"{arm} {'too much' if value > 1 else 'too little'} (pCTR/CTR {value:.2f})" for arm, value in off.items()
        )
        yield Check(
            "calibration", "warn", f"Predicted clicks are off by more than {MISCALIBRATED:.0%}: {said}.",
            "Ranking bears it, bids and thresholds do not. What is shown was scored highest, so some excess is natural: "
            "compare the slates drawn at random (random_calibration in daily.csv).",
        )  # fmt: skip
    elif known:
        arm, value = max(known.items(), key=lambda item: abs(item[1] - 1))
        yield Check(
            "calibration",
            "good",
            f"Predicted clicks fit those that came; the farthest off is {arm} (pCTR/CTR {value:.2f}).",
            "",
        )


def _stream(results: Findings) -> Iterator[Check]:
    manifest = results.run.manifest
    if manifest is None or manifest.counts is None:
        return
    learners = manifest.counts.by_learner.values()

    def total(*names: str) -> int:
        return sum(counts.get(name, 0) for counts in learners for name in names)

    clicks, late, dead = total("clicks"), total("late"), total("dead")
    lost = total("unknown_clicks", "early_clicks", "stale")
    twice = total("duplicate_exposures", "duplicate_clicks")
    share = late / clicks if clicks else 0.0
    verdict: Verdict = "bad" if dead else "warn" if lost or share > LATE else "good"
    says = f"Of {clicks:,} clicks that learners read {late:,} came late ({share:.2%}), {lost:,} events fitted nothing, {twice:,} were copies, {dead:,} were refused."
    do = ""
    if dead:
        do = "Read the topic dead-letters: each record there says what is wrong with it."
    elif lost:
        do = "Clicks without an exposure, or far before it: look at the clocks and the partitions of whoever writes them."
    elif verdict == "warn":
        do = "Late clicks are labels 0 that should be 1: lengthen join.attribution_hours."
    yield Check("stream", verdict, says, do)
