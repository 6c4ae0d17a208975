"""Base class of the errors that the user of the training can fix; each module has its own subclass.

Its message states what is wrong and the next step.
"""


class TrainingError(Exception):
    """The command cannot be executed."""
