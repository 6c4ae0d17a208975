"""Present policies."""

from app.db.tables.policies import Policy
from app.schemas import policies as schemas
from app.schemas.base import WarningDetail


def present_policy(policy: Policy, warnings: list[WarningDetail]) -> schemas.Policy:
    """Return a version of a policy as clients see it."""
    same = {name: getattr(policy, name) for name in schemas.PolicyRequest.model_fields}
    return schemas.Policy(
        id=policy.public_id, version=policy.version, created_at=policy.created_at, warnings=warnings, **same
    )
