"""The root of what a person who trains can mend; each module has its own leaf, whose message says what to do."""


class TrainingError(Exception):
    """The command cannot be carried out."""
