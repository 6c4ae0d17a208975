"""Schemas of installed models."""

from app.schemas.base import Schema


class InstalledModel(Schema):
    """A model that jobs may name."""

    name: str
    version: str
    trained: bool


class ModelList(Schema):
    """The installed models, by name."""

    items: list[InstalledModel]
