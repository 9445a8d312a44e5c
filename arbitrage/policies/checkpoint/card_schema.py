"""What the card of a policy must say, by kind of policy: names, types and ranges.

Contract: `card_faults` finds everything wrong with a card of a kind that is served, so that nothing behind it meets a
value of another type, or a size that fills memory. Keys that it does not know are allowed: cards grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Any

import jsonschema

from arbitrage.battery import Battery
from arbitrage.errors import BadInput
from arbitrage.features.battery_state import BATTERY_FEATURES
from arbitrage.features.encoder import LEAST_SCALE_EUR_MWH, MOST_SCALE_DAYS, MarketFeatures, TrailingScale
from arbitrage.features.names import FeatureSet
from arbitrage.market.point_in_time import DAY_AHEAD, MOST_SIZE, PRICE, RESIDUAL, SOLAR_FORECAST, WIND_FORECAST
from arbitrage.market.series import MINUTE_COLUMNS, MinuteSource
from arbitrage.market.splits import DaysOfMonth, SocReset
from arbitrage.numeric import is_whole
from arbitrage.policies.closed_form.online_combination import MOST_WINDOW_DAYS, CombinationConfig
from arbitrage.policies.mpc.horizon import input_names
from arbitrage.policies.mpc.policy import Form, Point
from arbitrage.policies.network_policy import Head
from arbitrage.quarter_hour import MINUTES_PER_HOUR, MINUTES_PER_QUARTER_HOUR
from arbitrage.risk import RiskMeasure

Card = dict[str, Any]
Schema = dict[str, Any]


class Kind(StrEnum):
    """The kinds of policies that are served from files."""

    CLOSED_FORM = "counterfactual_closed_form"
    NETWORK = "network"
    PREDICTIVE = "model_predictive_control"
    RULE = "rule"


SCHEMA_VERSION = 1
DAY_AHEAD_STEPS_MIN = (MINUTES_PER_QUARTER_HOUR, MINUTES_PER_HOUR)
MOST_NODES = 10_000
"""Of a lattice."""
_NEEDED = (
    *("schema_version", "kind", "tensors_sha256", "battery", "sources", "features", "name"),
    *("publication_delay_min", "seed", "split", "feature_set", "minute_source"),
)
_SERIES = (PRICE, DAY_AHEAD, RESIDUAL, WIND_FORECAST, SOLAR_FORECAST, *MINUTE_COLUMNS)
_MOST_FAULTS = 20
_LONGEST_MESSAGE = 200


def _one_of(names: type[StrEnum]) -> Schema:
    return {"enum": [str(name) for name in names]}


_DIGEST: Schema = {"type": "string", "pattern": r"^[0-9a-f]{64}\Z"}
_TEXT: Schema = {"type": "string", "maxLength": 2_000}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\x00-\x1f\x7f]*\Z"}
_NAMES: Schema = {"type": "array", "items": {"type": "string"}, "maxItems": 1_000}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_DELAY_MIN: Schema = {"type": "integer", "minimum": 0, "maximum": 1440}
_MINUTE: Schema = {"type": ["integer", "null"], "minimum": -4e9, "maximum": 4e9}
_SIZE: Schema = {"type": "number", "minimum": 1e-6, "maximum": 1e6}
"""In MW or MWh; arithmetic on smaller and larger ones loses the state of charge."""
_PREFERENCE: Schema = {
    "type": "object",
    "required": ["measure", "level", "weight"],
    "properties": {"measure": _one_of(RiskMeasure), "level": _NUMBER, "weight": {"type": "number", "minimum": 0}},
    "additionalProperties": False,
}
_BATTERY: Schema = {
    "type": "object",
    "required": ["power_mw", "capacity_mwh"],
    "properties": {own.name: {"type": ["number", "null"], "maximum": 1e6} for own in fields(Battery)}
    | {"power_mw": _SIZE, "capacity_mwh": _SIZE},
    "additionalProperties": False,
}
_SPLIT: Schema = {
    "type": "object",
    "properties": {
        "soc_reset": _one_of(SocReset),
        "train_days_of_month": {"type": "string"},
        "validation_days_of_month": {"type": "string"},
        "start_epoch_minute": _MINUTE,
        "end_epoch_minute": _MINUTE,
    },
}
_COMBINATION: Schema = {
    "type": ["object", "null"],
    "required": [own.name for own in fields(CombinationConfig)],
    "properties": {
        "window_days": {"type": "integer", "minimum": 1, "maximum": MOST_WINDOW_DAYS},
        "half_life_days": {"type": "number", "minimum": 0.01, "maximum": 1e6},
        "penalty": {"type": "number", "minimum": 1e-3, "maximum": 1e9},
        "prior_share": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "additionalProperties": False,
}
_TRAILING_SCALE: Schema = {
    "type": "object",
    "required": [own.name for own in fields(TrailingScale)],
    "properties": {
        "days": {"type": "integer", "minimum": 1, "maximum": MOST_SCALE_DAYS},
        "prior_eur_mwh": {"type": "number", "minimum": LEAST_SCALE_EUR_MWH, "maximum": MOST_SIZE},
        "fading": _FLAG,
    },
    "additionalProperties": False,
}
_FIGURES: Schema = {"type": "object", "additionalProperties": {"type": "object"}}
_COMMON: Schema = {
    "tensors_sha256": _DIGEST,
    "card_sha256": _DIGEST,
    "name": _NAME,
    "description": _TEXT,
    "created_at": _NAME,
    "battery": _BATTERY,
    "sources": {"type": "array", "items": {"enum": list(_SERIES)}, "maxItems": 2 * len(_SERIES)},
    "feature_set": _one_of(FeatureSet),
    "features": {"type": "array"},
    "step_min": {"enum": [1, 3, 5, 15]},
    "publication_delay_min": _DELAY_MIN,
    "decision_latency_min": _DELAY_MIN,
    "seed": {"type": "integer", "minimum": 0},
    "split": _SPLIT,
    "combination": _COMBINATION,
    "trailing_scale": _TRAILING_SCALE,
    "day_ahead_hour_means": _FLAG,
    "day_ahead_learned_min": {"type": "array", "items": {"enum": list(DAY_AHEAD_STEPS_MIN)}, "uniqueItems": True},
    "minute_source": {"enum": [None, *map(str, MinuteSource)]},
    "minute_seed": {"type": ["integer", "null"]},
    "data_sha256": _DIGEST,
    "validation": {"type": "object"},
    "chosen_stage": _TEXT,
    "tests": _FIGURES,
}
_OWN: dict[Kind, Schema] = {
    Kind.CLOSED_FORM: {
        "members": {"type": "integer", "minimum": 1, "maximum": 64},
        "lattice": {
            "type": "object",
            "required": ["soc_nodes", "cycle_nodes"],
            "properties": {
                "soc_nodes": {"type": "integer", "minimum": 2, "maximum": MOST_NODES},
                "cycle_nodes": {"type": "integer", "minimum": 1, "maximum": MOST_NODES},
            },
            "additionalProperties": False,
        },
    },
    Kind.NETWORK: {
        "state_feature_set": _one_of(FeatureSet),
        "step_min": _COMMON["step_min"],
        "critics": {"type": "integer", "minimum": 0, "maximum": 64},
        "head": _one_of(Head),
        "support": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
        "continuous": _FLAG,
        "reward_scale": {"type": "number", "exclusiveMinimum": 0},
        "preference": _PREFERENCE,
    },
    Kind.PREDICTIVE: {
        "feature_set": {"const": str(FeatureSet.QUARTER_HOUR)},
        "forecast_inputs": {"type": "array"},
        "plan": {
            "type": "object",
            "required": ["form", "point"],
            "properties": {
                "form": _one_of(Form),
                "point": _one_of(Point),
                "shared_quarter_hours": {"type": "integer", "minimum": 1, "maximum": 200},
                "beyond_quarter_hours": {"type": "integer", "minimum": 0, "maximum": 96},
                "end_value_fraction": {"type": "number", "minimum": 0, "maximum": 100},
            },
            "additionalProperties": False,
        },
        "preference": _PREFERENCE,
    },
    Kind.RULE: {
        "rule": _NAME,
        "numbers": {"type": "object", "additionalProperties": {"type": ["number", "string", "boolean", "null"]}},
        "tuned_on": {"type": ["string", "null"]},
    },
}
_SHOWN: Schema = {
    "type": "object",
    "required": ["kind", "tensors_sha256"],
    "properties": {
        "kind": _NAME,
        "tensors_sha256": _TEXT,
        "battery": {
            "type": "object",
            "properties": {"power_mw": _NUMBER, "capacity_mwh": _NUMBER},
            "required": ["power_mw", "capacity_mwh"],
        },
        "split": {"properties": {"start_epoch_minute": _MINUTE, "end_epoch_minute": _MINUTE}},
        "features": _NAMES,
        "feature_units": {"type": "object", "additionalProperties": {"type": "string"}},
        "validation": {"type": "object"},
        "chosen_stage": {"type": ["string", "null"]},
        "tests": _FIGURES,
    },
}


def shown_faults(card: object) -> list[str]:
    """What keeps a card of any kind from being shown."""
    return _missing(card, ("kind", "tensors_sha256")) or list(_schema_faults(_SHOWN, card))


def card_faults(card: object) -> list[str]:
    """Everything wrong with a card, each as a sentence that begins with the key."""
    if missing := _missing(card, _NEEDED):
        return missing
    assert isinstance(card, dict)
    version, kind = card["schema_version"], card["kind"]
    if not is_whole(version) or version != SCHEMA_VERSION:
        return [f"has schema version {_short(repr(version))}, not {SCHEMA_VERSION}"]
    if kind not in list(Kind):
        return [f"is of a kind that is not served here: {_short(repr(kind))}"]
    own = _OWN[Kind(kind)]
    if missing := _missing(card, tuple(own)):
        return missing
    found = list(_schema_faults({"properties": _COMMON | own}, card))
    return found or [*_value_faults(card), *_own_faults(card)]


def _missing(card: object, needed: tuple[str, ...]) -> list[str]:
    if not isinstance(card, dict):
        return ["is not the card of a policy: it is no object"]
    missing = sorted(set(needed) - set(card))
    return [f"is not the card of a policy: {', '.join(missing)} missing"] if missing else []


def _schema_faults(schema: Schema, card: object) -> Iterator[str]:
    for number, error in enumerate(_validator()(schema).iter_errors(card)):
        if number == _MOST_FAULTS:
            yield "and more"
            return
        where = ".".join(str(part) for part in error.absolute_path)
        yield f"{_short(where) or 'card'}: {_short(error.message)}"


@cache
def _validator() -> type[Any]:
    """JSON Schema for which 1.0 is not a whole number: it would not do as a size."""
    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", lambda _checker, value: is_whole(value))
    extended: type[Any] = jsonschema.validators.extend(base, type_checker=checker)
    return extended


def _short(message: str) -> str:
    half = _LONGEST_MESSAGE // 2
    return message if len(message) <= 2 * half else f"{message[:half]} ... {message[-half:]}"


def _value_faults(card: Mapping[str, Any]) -> Iterator[str]:
    """What types and ranges do not say, of every kind."""
    features = MarketFeatures(FeatureSet(card["feature_set"]))
    if card["features"] != ([] if card["kind"] == Kind.RULE else feature_names(features)):
        yield "features: names other market features than this version encodes; train it again"
    try:
        Battery(**card["battery"])
    except BadInput as refused:
        yield from (f"battery.{fault}" for fault in refused.faults)
    split = card["split"]
    for key in ("train_days_of_month", "validation_days_of_month"):
        try:
            DaysOfMonth.parse(split.get(key, "1-31"))
        except BadInput as refused:
            yield from (f"split.{key}: {_short(fault.message)}" for fault in refused.faults)
    first, after = split.get("start_epoch_minute"), split.get("end_epoch_minute")
    if first is not None and after is not None and first >= after:
        yield f"split.end_epoch_minute: must be after start_epoch_minute, {first}, not {after}"


def _own_faults(card: Mapping[str, Any]) -> Iterator[str]:
    """What types and ranges do not say, of the card's own kind."""
    if card["kind"] == Kind.CLOSED_FORM:
        nodes = card["lattice"]["soc_nodes"] * card["lattice"]["cycle_nodes"]
        if nodes > MOST_NODES:
            yield f"lattice: has {nodes:,} nodes; {MOST_NODES:,} are the most"
    elif card["kind"] == Kind.NETWORK:
        state = FeatureSet(card["state_feature_set"])
        if card.get("state_features", list(BATTERY_FEATURES[state])) != list(BATTERY_FEATURES[state]):
            yield "state_features: names others than this version encodes; train it again"
    elif card["kind"] == Kind.PREDICTIVE:
        features = MarketFeatures(FeatureSet(card["feature_set"]))
        if card["forecast_inputs"] != list(input_names(features)):
            yield "forecast_inputs: names other inputs of its forecast than this version encodes; fit it again"


def feature_names(features: MarketFeatures) -> list[str]:
    """All that a policy encodes, in order."""
    return [*features.quarter_names, *features.running_names]
