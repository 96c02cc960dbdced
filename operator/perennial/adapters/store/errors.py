"""Database errors, told apart once: what heals by itself, and what a person has to change."""

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from perennial.domain.evidence import StoreError, StoreMisconfigured, StoreUnavailable

URL_FIELD = "samples URL"
_EXAMPLE = "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE"
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_WRONG_BY_STATE = {
    "42P01": "create it with `perennial store init`, or name the right one",
    "42703": "add it with `perennial store init --features`, or name the right one",
    "42501": "grant the URL's user SELECT on it",
    "42883": "make samples.id and predictions.sample_id one type, target and score numbers",
    "42804": "make samples.id and predictions.sample_id one type, target and score numbers",
    "22P02": "write a value of the column's type",
}
_WRONG_BY_WORD = {
    "authentication failed": "correct user and password in the URL",
    "no password supplied": "put the password into the URL",
    "does not exist": "create it, or name the right one in the URL",
    "no pg_hba.conf entry": "let the server accept this user from here",
    "no such table": _WRONG_BY_STATE["42P01"],
    "no such column": _WRONG_BY_STATE["42703"],
    "unable to open database file": "name a file in a directory that exists",
}


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].removeprefix("ERROR:").strip() if text else type(error).__name__


def explain_url(text: str, drivers: tuple[str, ...]) -> StoreMisconfigured:
    """The error of a URL that cannot be used. It shows no more than the scheme: the rest may be secret."""
    scheme = text.partition("://")[0] if "://" in text else "no scheme"
    shown = scheme if len(scheme) <= 40 and scheme.isprintable() else "no scheme"
    return StoreMisconfigured(URL_FIELD, f"{shown!r} is not usable", f"write {' or '.join(drivers)}, as in {_EXAMPLE}")


def explain_unescaped() -> StoreMisconfigured:
    """The error of a URL whose password ends early: what follows it is shown nowhere, being the rest of it."""
    return StoreMisconfigured(
        URL_FIELD, "there is an @ in what follows the password", "percent-encode user and password in the URL"
    )


def explain(error: SQLAlchemyError | psycopg.Error, url: URL) -> StoreError:
    """The store's error for the database's: one line, without the password."""
    if isinstance(error, ArgumentError | NoSuchModuleError):
        return explain_url(url.drivername + "://", ("postgresql+psycopg",))
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, SQLAlchemyError) or cause is None:
        return StoreUnavailable(URL_FIELD, _first_line(error), "wait, or raise the database's connection limit")
    what = _first_line(cause)
    if url.password:
        what = what.replace(str(url.password), "***")
    state = str(getattr(cause, "sqlstate", None) or "")
    if state in _WRONG_BY_STATE:
        return StoreMisconfigured("samples", what, _WRONG_BY_STATE[state])
    if state == "57014":
        return StoreUnavailable("samples", what, "shorten the window, or run ANALYZE on the tables")
    for word, fix in _WRONG_BY_WORD.items():
        if not state and word in what:
            return StoreMisconfigured("samples" if word.startswith("no such") else URL_FIELD, what, fix)
    return StoreUnavailable(URL_FIELD, what, "see that the database runs and can be reached")
