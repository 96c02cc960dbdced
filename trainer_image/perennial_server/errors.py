"""What goes wrong on purpose, in words for the person who can mend it."""


class ConfigError(ValueError):
    """The server is set up wrongly: it does not start, and no restart helps. One line, with the fix."""


class RequestError(ValueError):
    """A request that cannot be answered as it stands. The message names the tensor or field, the value and the fix."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class StoreUnavailableError(Exception):
    """The database cannot take anything now; later it may."""


class StoreRefusedError(Exception):
    """The database will never take these rows as they are."""
