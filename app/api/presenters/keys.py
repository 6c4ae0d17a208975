"""Present API keys."""

from app.db.tables.keys import ApiKey
from app.schemas import keys as schemas


def present_key(key: ApiKey) -> schemas.Key:
    """Return a key as clients see it."""
    return schemas.Key.model_validate(key, from_attributes=True)


def present_new_key(key: ApiKey, text: str) -> schemas.KeyWithSecret:
    """Return a new key with the text that clients send."""
    return schemas.KeyWithSecret(**present_key(key).model_dump(), key=text)
