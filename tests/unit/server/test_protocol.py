"""What a request may say, and how it is told what is wrong with it."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tests.unit.server.served import FEATURES, ROWS, make_config, request_for, tensor, write_artifact

from perennial_contract.report import Manifest
from perennial_server.errors import RequestError
from perennial_server.protocol import Batch, Inputs, inputs_of, parse_request

INPUTS = Inputs(FEATURES, ("sample_id", "series", "at"))
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def parse(request: Any, inputs: Inputs = INPUTS) -> Batch:
    return parse_request(request if isinstance(request, bytes) else orjson.dumps(request), inputs)


def one_tensor_each(rows: list[list[Any]], **options: Any) -> dict[str, Any]:
    columns = zip(*rows, strict=True)
    return {name: tensor(name, list(column), **options) for name, column in zip(FEATURES, columns, strict=True)}


def test_all_features_in_one_tensor() -> None:
    batch = parse(request_for(["a", "b"]))
    np.testing.assert_array_equal(batch.rows, ROWS[:2])
    assert batch.ids == ["a", "b"]
    assert batch.series == ["BTC", "BTC"]
    assert batch.times == [NOON, NOON]


def test_flat_data_is_rows_one_after_the_other() -> None:
    flat = tensor("features", ROWS[:2].ravel().tolist(), "FP32", [2, 3])
    np.testing.assert_array_equal(parse(request_for(["a", "b"], features=flat)).rows, ROWS[:2])


def test_one_tensor_a_feature_in_any_order_gives_the_models_order() -> None:
    tensors = dict(reversed(one_tensor_each(ROWS[:2].tolist()).items()))
    batch = parse(request_for(["a", "b"], features=None, **tensors))
    np.testing.assert_array_equal(batch.rows, ROWS[:2])
    assert batch.rows.flags.c_contiguous


@pytest.mark.parametrize("data", [[[1], [2]], [1, 2]], ids=["nested", "flat"])
def test_a_column_may_have_the_shape_n_1(data: list[Any]) -> None:
    tensors = one_tensor_each([[1, 5, 6], [2, 7, 8]], datatype="INT64")
    tensors[FEATURES[0]] = tensor(FEATURES[0], data, "INT64", [2, 1])
    assert parse(request_for(["a", "b"], features=None, **tensors)).rows[:, 0].tolist() == [1.0, 2.0]


DTYPES = ("int64", "float64", "bool")
WHOLE = Inputs(FEATURES, ("sample_id", "series", "at"), ((0, "int64"), (2, "bool")))


def test_whole_numbers_and_truth_values_may_be_missing() -> None:
    rows = [[-3.0, 0.5, 1.0], [None, None, None], [2.0**53, 1e300, 0.0]]
    np.testing.assert_array_equal(parse(request_for(["a", "b", "c"], rows=rows), WHOLE).rows, np.array(rows, float))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.5, 0.5, 1.0], "feature 'ret_1': row 1: 1.5 is no int64: send a whole number of 64 bits, or null"),
        ([2.0**63, 0.5, 1.0], "feature 'ret_1': row 1: 9.22337e+18 is no int64"),
        ([1.0, 0.5, 0.5], f"feature {FEATURES[2]!r}: row 1: 0.5 is no bool: send 0 or 1, or null"),
        ([1.0, 0.5, 2.0], f"feature {FEATURES[2]!r}: row 1: 2 is no bool"),
        ([1.0, 0.5, -1.0], f"feature {FEATURES[2]!r}: row 1: -1 is no bool"),
    ],
)
def test_what_the_column_would_hold_otherwise_is_refused(row: list[float], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse(request_for(["a", "b"], rows=[[1.0, 0.5, 1.0], row]), WHOLE)
    assert message in str(refused.value)


def test_the_manifest_says_which_features_are_whole(tmp_path: Path) -> None:
    digest = write_artifact(tmp_path)
    manifest = Manifest.model_validate_json((tmp_path / "manifest.json").read_bytes())
    typed = [feature.model_copy(update={"dtype": d}) for feature, d in zip(manifest.features, DTYPES, strict=True)]
    inputs = inputs_of(
        make_config(tmp_path, digest), manifest.model_copy(update={"features": tuple(typed)}), records=True
    )
    assert inputs == WHOLE


def test_a_duplicate_among_many_ids_is_found_in_one_pass() -> None:
    ids = [f"s{n}" for n in range(50_000)]
    inputs = Inputs(("f",), ("sample_id",))
    tensors = [tensor("f", [0.0] * 50_001), tensor("sample_id", [*ids, ids[-1]], "BYTES")]
    started = time.perf_counter()
    with pytest.raises(RequestError, match="'s49999' is there twice"):
        parse({"inputs": tensors}, inputs)
    assert time.perf_counter() - started < 5  # comparing each with each takes minutes


def test_null_and_nan_are_missing() -> None:
    body = json.dumps(request_for(["a"], rows=[[None, float("nan"), 1.5]])).encode()
    assert b"NaN" in body
    np.testing.assert_array_equal(parse(body).rows, [[np.nan, np.nan, 1.5]])


def test_a_column_of_nulls_is_missing_throughout() -> None:
    tensors = one_tensor_each([[None, 1.0, 2.0], [None, 1.0, 2.0]])
    assert np.isnan(parse(request_for(["a", "b"], features=None, **tensors)).rows[:, 0]).all()


def test_times_may_be_milliseconds_or_have_other_offsets() -> None:
    millis = int(NOON.timestamp() * 1000) + 5
    assert parse(request_for(["a"], at=tensor("at", [millis], "INT64"))).times == [NOON + timedelta(milliseconds=5)]
    times = parse(request_for(["a"], at=tensor("at", ["2024-05-01T14:00:00+02:00"], "BYTES"))).times
    assert times == [NOON]
    assert times[0].tzinfo is UTC


def test_without_a_recorder_features_are_enough() -> None:
    batch = parse(request_for(["a"], sample_id=None, series=None, at=None), Inputs(FEATURES, ()))
    assert (len(batch.rows), batch.ids, batch.times) == (1, [], [])


def test_a_feature_may_be_called_features() -> None:
    request = {"inputs": [tensor("features", [1.0]), tensor("x", [2.0])]}
    assert parse(request, Inputs(("x", "features"), ())).rows.tolist() == [[2.0, 1.0]]


TWO = ["a", "b"]
BAD = {
    "not JSON": (b"{", "not JSON"),
    "NaN does not excuse the rest": (b'{"inputs": NaN', "not JSON"),
    "half a surrogate": (b'{"inputs": [], "NaN": "\\ud800"}', "not JSON"),
    "no object": (b"[]", "not an object"),
    "no inputs": ({}, "inputs: missing"),
    "tensor without a name": ({"inputs": [{"data": []}]}, "inputs[0]"),
    "the same tensor twice": ({"inputs": [tensor("at", [1]), tensor("at", [1])]}, "'at' is there twice"),
    "no sample_id": (request_for(["a"], sample_id=None), "'sample_id' is missing"),
    "no series": (request_for(["a"], series=None), "'series' is missing"),
    "no time": (request_for(["a"], at=None), "'at' is missing"),
    "feature missing": (
        request_for(["a"], features=None, **{n: tensor(n, [1.0]) for n in FEATURES[:2]}),
        "(1 of 3 are)",
    ),
    "unknown tensor": (request_for(["a"], vol_42=tensor("vol_42", [1.0])), "'vol_42' is none of the model's"),
    "too few columns": (request_for(["a"], features=tensor("features", [[1, 2]], shape=[1, 2])), "should be [n, 3]"),
    "no shape": (request_for(["a"], features={"name": "features", "datatype": "FP64", "data": [1]}), "shape None"),
    "shape says more rows": (request_for(["a"], features=tensor("features", [[1, 2, 3]], shape=[2, 3])), "do not fit"),
    "flat data too short": (request_for(["a"], features=tensor("features", [1, 2], shape=[1, 3])), "2 values"),
    "ragged rows": (request_for(TWO, rows=[[1, 2, 3], [1, 2]]), "3 values a row"),
    "text in numbers": (request_for(["a"], rows=[[1, "2.5", 3]]), "value 1: '2.5' is not a number"),
    "text beside null": (request_for(["a"], rows=[[None, "x", 3]]), "value 1: 'x' is not a number"),
    "a list among numbers": (request_for(["a"], rows=[[1, [2], 3]]), "value 1: [2] is not a number"),
    "only lists": (request_for(["a"], rows=[[[1], [2], [3]]]), "value 0: [1] is not a number"),
    "infinite": (json.dumps(request_for(["a"], rows=[[1, float("inf"), 3]])).encode(), "value 1: inf is not finite"),
    "beyond FP64": (json.dumps(request_for(["a"], rows=[[1, 10**400, float("nan")]])).encode(), "infinity when parsed"),
    "wrong datatype": (request_for(["a"], features=tensor("features", [[1, 2, 3]], "INT64", [1, 3])), "'INT64'"),
    "column of texts": (
        request_for(["a"], features=None, **{n: tensor(n, ["x"], "BYTES") for n in FEATURES}),
        "'ret_1': datatype 'BYTES'",
    ),
    "column of two dimensions": (
        request_for(TWO, features=None, **{n: tensor(n, [1, 2], shape=[1, 2]) for n in FEATURES}),
        "shape [1, 2] does not fit 2 values",
    ),
    "columns of unequal length": (
        request_for(TWO, features=None, **{n: tensor(n, [1.0] * (1 + i)) for i, n in enumerate(FEATURES)}),
        "'vol_24' has 2 rows",
    ),
    "ids of unequal length": (request_for(TWO, sample_id=tensor("sample_id", ["a"], "BYTES")), "has 1 rows"),
    "duplicate ids": (request_for(["a", "a"]), "'a' is there twice"),
    "empty id": (request_for([""]), "row 0: ''"),
    "id with NUL": (request_for(["a\0"]), "row 0"),
    "long id": (request_for(["a" * 257]), "1 to 256 characters"),
    "id is a number": (request_for(["a"], sample_id=tensor("sample_id", [1], "BYTES")), "row 0: 1 is not a text"),
    "naive time": (request_for(["a"], at=tensor("at", ["2024-05-01T12:00:00"], "BYTES")), "has no time zone"),
    "a date": (request_for(["a"], at=tensor("at", ["2024-05-01"], "BYTES")), "has no time zone"),
    "no time at all": (request_for(["a"], at=tensor("at", ["noon"], "BYTES")), "'noon' is not a time"),
    "time is null": (request_for(["a"], at=tensor("at", [None], "BYTES")), "None is not a time"),
    "milliseconds with fraction": (request_for(["a"], at=tensor("at", [1.5], "INT64")), "not a whole number"),
    "milliseconds out of range": (request_for(["a"], at=tensor("at", [10**18], "INT64")), "before the year 10000"),
    "no rows": (request_for([], rows=[]), "no rows"),
    "binary data": (
        request_for(["a"], features={"name": "features", "datatype": "FP64", "shape": [1, 3],
                                     "parameters": {"binary_data_size": 24}}),
        "binary tensor data is not supported",
    ),
    "request id is a number": ({"id": 7, **request_for(["a"])}, "id: 7"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    request, message = BAD[case]
    with pytest.raises(RequestError) as refused:
        parse(request)
    assert message in str(refused.value)
    assert refused.value.status == 400
    assert "\n" not in str(refused.value)


def test_a_long_value_is_not_repeated_at_length() -> None:
    with pytest.raises(RequestError) as refused:
        parse(request_for(["a" * 100_000]))
    assert len(str(refused.value)) < 300
