"""The SQL. Rows go in as one JSON parameter: a fixed statement for any number of rows, and NaN becomes null."""

from collections.abc import Sequence
from math import isnan

import orjson
from psycopg import sql

from perennial_contract.report import Feature
from perennial_contract.samples import SampleContract
from perennial_server.records import Scored


class RecordStatements:
    """Inserts of samples and predictions, made once for a model's features."""

    def __init__(self, contract: SampleContract, features: Sequence[Feature]) -> None:
        self._keys = [f"f{position}" for position in range(len(features))]
        columns = [sql.Identifier(feature.name) for feature in features]
        # A number is assigned to any column of numbers by itself, to a boolean one it is not.
        values = [
            sql.SQL("r.{} <> 0" if feature.dtype == "bool" else "r.{}").format(sql.Identifier(key))
            for key, feature in zip(self._keys, features, strict=True)
        ]
        # Samples that are there already, as half of them are during a canary, are left alone without a lock.
        self.samples = sql.SQL(
            "INSERT INTO {table} AS s (id, series, at, {columns})"
            " SELECT r.i, r.s, r.t, {values}"
            " FROM json_to_recordset(%s::json) AS r(i text, s text, t timestamptz, {typed})"
            " WHERE NOT EXISTS (SELECT FROM {table} AS k WHERE k.id = r.i AND k.at IS NOT NULL)"
            ' ORDER BY r.i COLLATE "C"'
            " ON CONFLICT (id) DO UPDATE SET series = EXCLUDED.series, at = EXCLUDED.at, {updates} WHERE s.at IS NULL"
        ).format(
            table=sql.Identifier(contract.table),
            columns=sql.SQL(", ").join(columns),
            values=sql.SQL(", ").join(values),
            typed=sql.SQL(", ").join(sql.SQL("{} float8").format(sql.Identifier(key)) for key in self._keys),
            updates=sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(column) for column in columns),
        )
        self.predictions = sql.SQL(
            "INSERT INTO {table} (model, version, sample_id, track, score, at)"
            " SELECT %s, %s, r.i, r.k, r.p, r.t"
            " FROM json_to_recordset(%s::json) AS r(i text, k text, p float8, t timestamptz)"
            ' ORDER BY r.i COLLATE "C"'
            " ON CONFLICT (model, version, sample_id) DO NOTHING"
        ).format(table=sql.Identifier(contract.predictions_table))

    def encode_samples(self, scored: Scored) -> str:
        """The parameter of `samples`."""
        return orjson.dumps(
            [
                {"i": name, "s": series, "t": time, **dict(zip(self._keys, row, strict=True))}
                for name, series, time, row in zip(
                    scored.ids, scored.series, scored.times, scored.rows.tolist(), strict=True
                )
            ]
        ).decode()

    def encode_predictions(self, scored: Scored) -> str:
        """The last parameter of `predictions`."""
        return orjson.dumps(
            [
                {"i": name, "k": track, "p": score, "t": time}
                for name, track, score, time in zip(
                    scored.ids, scored.tracks, scored.scores.tolist(), scored.times, strict=True
                )
                if not isnan(score)
            ]
        ).decode()


def history_statement(contract: SampleContract, features: Sequence[Feature]) -> sql.Composed:
    """The newest rows of a series before an instant, for each of the rows in a JSON parameter; the second is how many.

    Of rows at the same time one counts: a client that repeats a request under another id must not end the series.

    The index over series and time, which `perennial store init` makes, finds them without a look at any other row.
    """
    columns = [
        sql.SQL("k.{}::int::float8" if feature.dtype == "bool" else "k.{}::float8").format(sql.Identifier(feature.name))
        for feature in features
    ]
    return sql.SQL(
        "SELECT r.n, (extract(epoch FROM h.at) * 1000000)::bigint, (extract(epoch FROM h.known) * 1000000)::bigint,"
        " h.target::float8, h.features"
        " FROM json_to_recordset(%s::json) AS r(n int, s text, t timestamptz) CROSS JOIN LATERAL ("
        "SELECT DISTINCT ON (k.at) k.at, k.target, k.resolved_at AS known, ARRAY[{columns}] AS features"
        " FROM {table} AS k WHERE k.series = r.s AND k.at < r.t ORDER BY k.at DESC LIMIT %s::int) AS h"
    ).format(columns=sql.SQL(", ").join(columns), table=sql.Identifier(contract.table))


class OutcomeStatements:
    """Recording outcomes: once each, on the sample's row, whether the sample is there yet or not."""

    def __init__(self, table: str) -> None:
        # The table's own row type reads the JSON: reward is compared as the column holds it, double or real.
        incoming = sql.SQL(
            "SELECT i.id, i.target, i.reward, i.resolved_at FROM json_populate_recordset(NULL::{table}, %s::json) AS i"
        ).format(table=sql.Identifier(table))
        self.record = sql.SQL(
            "INSERT INTO {table} AS s (id, target, reward, resolved_at)"
            ' SELECT i.id, i.target, i.reward, i.resolved_at FROM ({incoming}) AS i ORDER BY i.id COLLATE "C"'
            " ON CONFLICT (id) DO UPDATE"
            " SET target = EXCLUDED.target, reward = EXCLUDED.reward, resolved_at = EXCLUDED.resolved_at"
            " WHERE s.target IS NULL"
        ).format(table=sql.Identifier(table), incoming=incoming)
        self.conflicts = sql.SQL(
            "SELECT s.id FROM ({incoming}) AS i JOIN {table} AS s ON s.id = i.id"
            " WHERE s.target IS DISTINCT FROM i.target OR s.reward IS DISTINCT FROM i.reward"
            ' ORDER BY s.id COLLATE "C"'
        ).format(table=sql.Identifier(table), incoming=incoming)
