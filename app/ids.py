"""The ids that clients see: a prefix that says of what, and a UUID in hexadecimal."""

from uuid import UUID


def parse_id(text: str, prefix: str) -> UUID | None:
    """``job_<32 hex digits>`` as a UUID; None where it looks otherwise."""
    found, _, digits = text.partition("_")
    try:
        return UUID(hex=digits) if found == prefix and len(digits) == 32 else None
    except ValueError:
        return None
