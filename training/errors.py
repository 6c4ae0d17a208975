"""Base class of the errors that the user of the training can fix; each module has its own subclass.

The message says what to do.
"""


class TrainingError(Exception):
    """The command cannot be executed."""
