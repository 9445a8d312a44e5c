"""Units of features: every one has one, and the encoder keeps to it."""

from __future__ import annotations

import numpy as np
import pytest

from arbitrage.features.encoder import MarketFeatures
from arbitrage.features.names import FeatureSet
from arbitrage.features.units import FLAG, FRACTION, LOG_SCALE, WAVE, feature_units
from arbitrage.market.simulation.embedded_sample import sample_market

SETS = pytest.mark.parametrize("feature_set", list(FeatureSet))


@SETS
def test_every_feature_of_every_set_has_a_unit_in_the_order_of_the_encoder(feature_set: FeatureSet) -> None:
    features = MarketFeatures(feature_set)
    units = feature_units(features)
    assert list(units) == list(dict.fromkeys((*features.quarter_names, *features.running_names)))
    assert all(units.values())


@SETS
def test_what_is_encoded_lies_where_its_unit_says(feature_set: FeatureSet) -> None:
    features = MarketFeatures(feature_set)
    market = sample_market()
    times = market.quarter_hours[20 * 96 : 34 * 96] + (7 if features.running_names else 0)
    values = features.encode(market.known_at(times))
    bounds = {FLAG: (0.0, 1.0), FRACTION: (0.0, 1.0), WAVE: (-1.0, 1.0), LOG_SCALE: (np.log(10.0), np.log(1000.0))}
    units = feature_units(features)
    for name, column in zip(features.names, values.T, strict=True):
        if units[name] in bounds:
            low, high = bounds[units[name]]
            assert low <= column.min(), name
            assert column.max() <= high, name
            assert units[name] != FLAG or set(column.tolist()) <= {0.0, 1.0}, name
