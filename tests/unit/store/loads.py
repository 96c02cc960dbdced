"""What both databases must do with files."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from perennial.adapters.store.load import Loaded, create_tables, load_files
from perennial.adapters.store.source import SourceError
from perennial.adapters.store.status import observe_status
from perennial.domain.evidence import StoreError

HEADER = "id,series,at,f1,order,target,reward,resolved_at"
GOOD = (
    "a,BTC,2024-01-01T00:00:00Z,0.5,1,1,0.01,2024-01-01T04:00:00Z",
    "b,BTC,2024-01-01 02:00:00+01:00,,-2e-3,0,-0.02,2024-01-01T05:00:00+00:00",
    'c,"BTC, spot",2024-01-01T02:00:00.250000+00:00,3,4,,,',
)
BAD = {
    "naive time": ("a,BTC,2024-01-01T00:00:00,1,1,1,0,", r"row 3: at = '2024-01-01T00:00:00': write an instant with"),
    "no time": ("a,BTC,,1,1,1,0,", r"row 3: at = ''"),
    "naive outcome": ("a,BTC,2024-01-01T00:00:00Z,1,1,1,0,2024-01-02", r"row 3: resolved_at = '2024-01-02'"),
    "no id": (",BTC,2024-01-01T00:00:00Z,1,1,1,0,", r"row 3: id = '': give every sample an id"),
    "NaN": ("a,BTC,2024-01-01T00:00:00Z,nan,1,1,0,", r"row 3: f1 = 'nan': write a finite number, or leave it empty"),
    "infinity": ("a,BTC,2024-01-01T00:00:00Z,1,-inf,1,0,", r"row 3: order = '-inf'"),
    "too large": ("a,BTC,2024-01-01T00:00:00Z,1e999,1,1,0,", r"row 3.*1e999.*|row 3, column f1: .*out of range"),
    "no number": ("a,BTC,2024-01-01T00:00:00Z,high,1,1,0,", r"row 3: f1 = 'high'"),
    "two points": ("a,BTC,2024-01-01T00:00:00Z,1.2.3,1,1,0,", r"row 3.*f1.*1\.2\.3"),
    "target": ("a,BTC,2024-01-01T00:00:00Z,1,1,2,0,", r"row 3: target = '2': write 0 or 1"),
    "reward": ("a,BTC,2024-01-01T00:00:00Z,1,1,1,lots,", r"row 3: reward = 'lots'"),
    "outcome before sample": (
        "a,BTC,2024-01-02T00:00:00Z,1,1,1,0,2024-01-01T00:00:00Z",
        r"row 3: resolved_at of 'a' is",
    ),
    "too few values": ("a,BTC,2024-01-01T00:00:00Z", r"row 3: it has 3 values: write 8"),
    "empty row": ("", r"row 3: the row is empty: remove it"),
    "id twice": ("z,BTC,2024-01-01T00:00:00Z,1,1,1,0,", r"row 3: id = 'z' stands twice: keep one"),
    "open quote": ('a,"BTC,2024-01-01T00:00:00Z,1,1,1,0,', r"row 2.*mend the quotes"),
}
FIRST = "z,BTC,2024-01-01T00:00:00Z,1,1,1,0,"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    """A CSV file, gzipped when its name says so."""
    data = "\n".join([header, *rows, ""]).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows_of(engine: Engine, columns: str = 'id, series, f1, "order", target, reward') -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM samples ORDER BY id"))]


def check_loading(engine: Engine, folder: Path) -> None:
    """Loads, again, gzipped, and with what was missing the first time."""
    path = write(folder / "first.csv", *GOOD)
    assert load_files(engine, [path]) == Loaded(rows=3, known=0)
    loaded = [
        ("a", "BTC", 0.5, 1.0, 1, 0.01),
        ("b", "BTC", None, -0.002, 0, -0.02),
        ("c", "BTC, spot", 3.0, 4.0, None, None),
    ]
    assert rows_of(engine) == loaded
    again = write(folder / "again.csv.gz", *GOOD)
    assert load_files(engine, [again]) == Loaded(rows=3, known=3)
    assert rows_of(engine) == loaded

    status = observe_status(engine, "samples", "predictions")
    assert (status.rows, status.resolved, status.features) == (3, 2, ("f1", "order"))
    assert status.newest == datetime(2024, 1, 1, 2, 0, 0, 250_000, tzinfo=UTC)
    assert status.newest_resolved == datetime(2024, 1, 1, 1, tzinfo=UTC)
    assert status.predictions == ()

    outcome = write(folder / "outcome.csv", "c,2024-01-01T02:00:00.25Z,1.0,0.3", header="id,at,target,reward")
    assert load_files(engine, [outcome], features=[]) == Loaded(rows=1, known=1)
    assert rows_of(engine)[2] == ("c", "BTC, spot", 3.0, 4.0, 1, 0.3)


def check_gaps(engine: Engine, folder: Path) -> None:
    """What is null is filled in, whichever column it is; what is there stays."""
    load_files(engine, [write(folder / "all.csv", *GOOD)])
    with engine.begin() as connection:
        connection.execute(text("UPDATE samples SET f1 = NULL, series = NULL, reward = NULL WHERE id = 'a'"))
    load_files(engine, [write(folder / "again.csv", GOOD[0].replace(",1,1,0.01", ",7,1,0.03"))])
    assert rows_of(engine)[0] == ("a", "BTC", 0.5, 1.0, 1, 0.03)

    with engine.begin() as connection:
        create_tables(connection, "samples", "predictions", ["f2"])
    load_files(engine, [write(folder / "new.csv", "b,2024-01-01T01:00:00Z,9,9", header="id,at,order,f2")])
    assert rows_of(engine, 'id, f1, "order", f2, target') == [
        ("a", 0.5, 1.0, None, 1),
        ("b", None, -0.002, 9.0, 0),
        ("c", 3.0, 4.0, None, None),
    ]


def check_early_outcome(engine: Engine, folder: Path) -> None:
    """An outcome that was there before its sample is kept, and the sample filled in."""
    load_files(engine, [write(folder / "one.csv", GOOD[0])])
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO samples (id, target, reward) VALUES ('c', 0, -0.5)"))
    assert observe_status(engine, "samples", "predictions").unplaced == 1
    assert load_files(engine, [write(folder / "all.csv", *GOOD)]) == Loaded(rows=3, known=2)
    assert rows_of(engine)[2] == ("c", "BTC, spot", 3.0, 4.0, 0, -0.5)


def check_other_outcome(engine: Engine, folder: Path) -> None:
    """An outcome that differs from the recorded one is refused."""
    load_files(engine, [write(folder / "one.csv", *GOOD)])
    other = write(folder / "other.csv", GOOD[1], GOOD[0].replace("1,1,0.01", "1,0,0.01"))
    with pytest.raises(SourceError, match=r"row 3: target = 0 of 'a', recorded is 1: an outcome is final"):
        load_files(engine, [other])
    other = write(folder / "other.csv", GOOD[0].replace("0.01", "0.02"))
    with pytest.raises(SourceError, match=r"row 2: reward = 0\.02 of 'a', recorded is 0\.01"):
        load_files(engine, [other])


def check_bad_row(engine: Engine, folder: Path, kind: str) -> None:
    """One bad row is named, and nothing of the file stays."""
    load_files(engine, [write(folder / "before.csv", *GOOD)])
    before = rows_of(engine)
    row, message = BAD[kind]
    bad = write(folder / "bad.csv", FIRST, row, GOOD[2])
    with pytest.raises(SourceError, match=message) as caught:
        load_files(engine, [write(folder / "good.csv", FIRST), bad])
    assert "\n" not in str(caught.value)
    assert rows_of(engine) == before


def check_unknown_column(engine: Engine, folder: Path) -> None:
    """A column that the table lacks is refused unless it is not asked for."""
    load_files(engine, [write(folder / "one.csv", *GOOD)])
    wider = write(folder / "wider.csv", "d,2024-01-01T00:00:00Z,1,x", header="id,at,f1,f9")
    with pytest.raises(SourceError, match=r"has no column 'f9': add it with `perennial store init --features f9`"):
        load_files(engine, [wider])
    assert load_files(engine, [wider], features=["f1"]).rows == 1
    with pytest.raises((SourceError, StoreError), match="there is no feature column 'f7'"):
        load_files(engine, [wider], features=["f7"])
