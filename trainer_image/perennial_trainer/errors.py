"""What can go wrong, by what the operator should do about it: the exit code says whether to try again."""

from perennial_contract.task import EXIT_NOT_ENOUGH_DATA, EXIT_TASK_WRONG

EXIT_TRANSIENT = 1


class TrainingError(Exception):
    """An error for people: its message is one line that names what is wrong, where, and what to do."""

    exit_code = EXIT_TRANSIENT


class Unavailable(TrainingError):  # noqa: N818 - a state of a store, as the operator calls it
    """A database or an object store does not answer now: the same attempt may succeed later."""


class TaskWrong(TrainingError):  # noqa: N818 - named as its exit code
    """The task cannot succeed as it stands: a person has to change a resource, a table or a grant."""

    exit_code = EXIT_TASK_WRONG


class NotEnoughData(TrainingError):  # noqa: N818 - named as its exit code
    """The rows cannot carry a model and its evaluation, yet."""

    exit_code = EXIT_NOT_ENOUGH_DATA
