"""Exit codes of ``unmask scan``."""

from enum import IntEnum, StrEnum

from app.core.enums import RecommendedAction, Verdict


class ExitCode(IntEnum):
    """Exit code of ``unmask scan``. For several clips it is the worst one, in the order 1, 4, 3, 0."""

    EVALUATED = 0
    FAILED = 1
    NOT_EVALUATED = 3
    FOUND = 4


class FailOn(StrEnum):
    """Verdict or action from which on a clip gives the exit code FOUND."""

    SUSPICIOUS = "suspicious"
    MANIPULATED = "manipulated"
    REVIEW = "review"
    BLOCK = "block"

    def is_met_by(self, verdict: Verdict | None, action: RecommendedAction | None) -> bool:
        """Return whether the verdict or the action is this one or a stronger one."""
        found = {word.lower() for word in (verdict, action) if word is not None}
        stronger = {FailOn.SUSPICIOUS: FailOn.MANIPULATED, FailOn.REVIEW: FailOn.BLOCK}.get(self, self)
        return not found.isdisjoint({self, stronger})
