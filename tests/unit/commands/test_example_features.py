"""Features know nothing of the future, and outcomes are what the barriers say."""

from dataclasses import replace

import numpy as np
import pytest
from tests.unit.commands import market

from perennial.commands.example import btc, sp500
from perennial.commands.example.indicators import relative_strength, rolling, z_score

HORIZON = 12


def test_btc_features_do_not_change_when_the_future_does() -> None:
    real, other = btc.parse_candles(market.candles(400)), btc.parse_candles(market.candles(400, seed=2))
    for now in (200, 300, 399):
        fields = ("open", "high", "low", "close", "volume")
        known = {
            name: np.concatenate([getattr(real, name)[: now + 1], getattr(other, name)[now + 1 :]]) for name in fields
        }
        before, after = btc.build_features(real), btc.build_features(replace(real, **known))
        for name, values in before.items():
            np.testing.assert_array_equal(values[: now + 1], after[name][: now + 1], err_msg=name)


def test_sp500_features_do_not_change_when_the_future_does() -> None:
    real, other = sp500.parse_closes(market.closes(300)), sp500.parse_closes(market.closes(300, seed=2))
    for now in (255, 280):
        known = replace(real, close=np.concatenate([real.close[: now + 1], other.close[now + 1 :]]))
        before, after = sp500.build_features(real), sp500.build_features(known)
        for name, values in before.items():
            np.testing.assert_array_equal(values[: now + 1], after[name][: now + 1], err_msg=name)


def test_btc_samples_stand_at_the_end_of_the_hour_whose_close_they_use() -> None:
    data = market.candles(300)
    candles, samples = btc.parse_candles(data), btc.build_samples(data, HORIZON)
    first_hour = np.datetime64(market.BEGIN.replace(tzinfo=None), "us")
    assert candles.ends[0] - first_hour == np.timedelta64(1, "h")
    row = 40
    hour = int((samples.at[row] - candles.ends[0]) / np.timedelta64(1, "h"))
    expected = np.log(candles.close[hour] / candles.close[hour - 1])
    assert samples.values[row, samples.features.index("ret_1")] == pytest.approx(expected)
    assert len(samples) == 300 - 168 - HORIZON
    assert np.isfinite(samples.values).all()


def test_sp500_samples_stand_at_the_exchange_s_close_in_utc() -> None:
    data = market.closes(300)
    closes, samples = sp500.parse_closes(data), sp500.build_samples(data)
    assert len(samples) == (300 - 252 - 1) * 3
    # New York is five hours behind UTC in winter, four in summer.
    assert str(closes.ends[0]) == "2020-03-01T21:00:00.000000"
    assert str(closes.ends[10]) == "2020-03-11T20:00:00.000000"
    assert samples.ids[0] == "AAA-2020-11-08"
    assert samples.reward[4] == pytest.approx(closes.close[254, 1] / closes.close[253, 1] - 1)
    np.testing.assert_array_equal(samples.target, samples.reward > 0)
    assert (samples.resolved_at > samples.at).all()


def test_every_outcome_is_the_first_barrier_touched() -> None:
    candles = btc.parse_candles(market.candles(500))
    width = np.full(500, 0.015)
    target, reward, hours = btc.label_triple_barrier(candles, width, HORIZON)
    assert len(target) == 500 - HORIZON
    kinds = set()
    for start in range(len(target)):
        entry = candles.close[start]
        expected = None
        for step in range(1, HORIZON + 1):
            up = candles.high[start + step] >= entry * (1 + 0.015)
            down = candles.low[start + step] <= entry * (1 - 0.015)
            if up or down:
                won = candles.close[start + step] > entry if up and down else up
                expected = (int(won), 0.015 if won else -0.015, step)
                kinds.add("both" if up and down else "up" if up else "down")
                break
        if expected is None:
            earned = candles.close[start + HORIZON] / entry - 1
            expected = (int(earned > 0), earned, HORIZON)
            kinds.add("horizon")
        assert (target[start], reward[start], hours[start]) == pytest.approx(expected)
    assert kinds == {"both", "up", "down", "horizon"}


def test_an_outcome_waits_for_its_touch_and_no_longer() -> None:
    samples = btc.build_samples(market.candles(400), HORIZON)
    taken = (samples.resolved_at - samples.at) / np.timedelta64(1, "h")
    assert taken.min() >= 1
    assert taken.max() == HORIZON
    features = btc.build_features(btc.parse_candles(market.candles(400)))
    width = np.maximum(features["vol_24"] * np.sqrt(HORIZON), 0.001)[168 : 168 + len(samples)]
    touched = taken < HORIZON
    assert touched.sum() > 50
    assert np.abs(samples.reward[touched]) == pytest.approx(width[touched])


def test_indicators_of_a_market_that_stands_still() -> None:
    flat = np.full(20, 7.0)
    assert relative_strength(flat, 5)[10] == 0.5
    assert z_score(flat, 5)[10] == 0.0
    assert np.isnan(rolling(flat, 5, np.mean)[:4]).all()
    assert np.isnan(rolling(flat, 30, np.mean)).all()
