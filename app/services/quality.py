"""Use case of quality: how often people agreed with the verdicts, by their feedback."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.calibration import RateEstimate, exact_interval
from app.core.enums import FeedbackLabel, Verdict
from app.db.queries import quality as quality_queries
from app.db.queries.quality import LabelledCount
from app.schemas.quality import Quality

_FLAGGED = {Verdict.SUSPICIOUS, Verdict.MANIPULATED}


def measure_quality(session: Session, *, tenant: str, created_after: datetime | None) -> list[Quality]:
    """Return the rates of each model and policy, by the newest feedback on each job."""
    with session.begin():
        counts = quality_queries.count_labels(session, tenant=tenant, created_after=created_after)
    groups: dict[tuple[str, str, str], list[LabelledCount]] = defaultdict(list)
    for count in counts:
        if count.label is not FeedbackLabel.UNSURE and count.verdict is not Verdict.NOT_EVALUATED:
            groups[count.model, count.version, count.policy].append(count)
    return [_summarise(model, version, policy, members) for (model, version, policy), members in sorted(groups.items())]


def _summarise(model: str, version: str, policy: str, members: Sequence[LabelledCount]) -> Quality:
    def is_flagged(count: LabelledCount) -> bool:
        return count.verdict in _FLAGGED

    def is_decided(count: LabelledCount) -> bool:
        return count.verdict is not Verdict.INCONCLUSIVE

    def is_fake(count: LabelledCount) -> bool:
        return count.label is FeedbackLabel.FAKE

    return Quality(
        model=model,
        version=version,
        policy=policy,
        reviewed=sum(count.jobs for count in members),
        precision=_rate(members, is_flagged, is_fake),
        recall=_rate(members, is_fake, is_flagged),
        false_positive_rate=_rate(members, lambda count: not is_fake(count), is_flagged),
        agreement=_rate(members, is_decided, lambda count: is_fake(count) == is_flagged(count)),
    )


def _rate(
    members: Sequence[LabelledCount], among: Callable[[LabelledCount], bool], has: Callable[[LabelledCount], bool]
) -> RateEstimate | None:
    """Return the share with a property among the jobs with another one; None if there are no such jobs."""
    total = sum(count.jobs for count in members if among(count))
    if not total:
        return None
    found = sum(count.jobs for count in members if among(count) and has(count))
    low, high = exact_interval(found, total)
    return RateEstimate(value=found / total, low=low, high=high, clips=total)
