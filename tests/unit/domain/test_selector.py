"""Selectors, one row a case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.api.retrain_policy import LabelRequirement, Selector
from perennial.domain.selector import matches, parse_query, to_query

keys = st.sampled_from(["book", "desk", "example.com/team"])
values = st.sampled_from(["spot", "fx", "a-b.c_d", ""])
requirements = st.builds(
    lambda key, operator, chosen: LabelRequirement(
        key=key, operator=operator, values=chosen if operator in ("In", "NotIn") else []
    ),
    keys,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(values.filter(bool), min_size=1, max_size=3),
)
LABELS = {"book": "spot", "desk": "fx"}


def requirement(key: str, operator: str, *values: str) -> Selector:
    return Selector(
        match_expressions=[LabelRequirement.model_validate({"key": key, "operator": operator, "values": values})]
    )


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        pytest.param(Selector(), True, id="an empty selector matches everything"),
        pytest.param(Selector(match_labels={"book": "spot"}), True, id="a label with its value"),
        pytest.param(Selector(match_labels={"book": "futures"}), False, id="a label with another value"),
        pytest.param(Selector(match_labels={"team": "spot"}), False, id="a label that is absent"),
        pytest.param(Selector(match_labels={"book": "spot", "desk": "rates"}), False, id="all labels have to match"),
        pytest.param(requirement("book", "In", "spot", "futures"), True, id="In one of the values"),
        pytest.param(requirement("book", "In", "futures"), False, id="In none of the values"),
        pytest.param(requirement("team", "In", "spot"), False, id="In does not match a label that is absent"),
        pytest.param(requirement("book", "NotIn", "futures"), True, id="NotIn the values"),
        pytest.param(requirement("book", "NotIn", "spot"), False, id="NotIn, and it is in"),
        pytest.param(requirement("team", "NotIn", "spot"), True, id="NotIn matches a label that is absent"),
        pytest.param(requirement("book", "Exists"), True, id="Exists"),
        pytest.param(requirement("team", "Exists"), False, id="Exists, and it does not"),
        pytest.param(requirement("team", "DoesNotExist"), True, id="DoesNotExist"),
        pytest.param(requirement("book", "DoesNotExist"), False, id="DoesNotExist, and it does"),
    ],
)
def test_matches(selector: Selector, matched: bool) -> None:
    assert matches(selector, LABELS) is matched


def test_labels_and_expressions_both_have_to_hold() -> None:
    both = Selector(
        match_labels={"book": "spot"}, match_expressions=[LabelRequirement(key="desk", operator="DoesNotExist")]
    )
    assert not matches(both, LABELS)
    assert matches(both, {"book": "spot"})


@pytest.mark.parametrize(
    ("selector", "query"),
    [
        (Selector(), ""),
        (Selector(match_labels={"book": "spot", "desk": "fx"}), "book=spot,desk=fx"),
        (requirement("book", "In", "spot", "futures"), "book in (spot,futures)"),
        (requirement("book", "NotIn", "spot"), "book notin (spot)"),
        (requirement("book", "Exists"), "book"),
        (requirement("book", "DoesNotExist"), "!book"),
    ],
)
def test_the_api_server_is_asked_in_its_own_words(selector: Selector, query: str) -> None:
    assert to_query(selector) == query


@given(st.lists(requirements, max_size=4), st.dictionaries(keys, values, max_size=3), st.dictionaries(keys, values))
def test_a_query_matches_what_its_selector_does(
    expressions: list[LabelRequirement], equal: dict[str, str], labels: dict[str, str]
) -> None:
    selector = Selector(match_labels=equal, match_expressions=expressions)
    assert matches(parse_query(to_query(selector)), labels) is matches(selector, labels)
