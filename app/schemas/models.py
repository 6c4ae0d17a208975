"""Schemas of installed models."""

from app.schemas.base import Schema, example


class InstalledModel(Schema):
    """Model that jobs may name."""

    name: str
    version: str
    trained: bool


class ModelList(Schema):
    """Installed models, by name."""

    model_config = example({"items": [{"name": "unmask-b3", "version": "0.2.1", "trained": True}]})

    items: list[InstalledModel]
