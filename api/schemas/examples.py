"""Examples that the documents show; the tests send the requests and hold the answers against their schemas."""

from __future__ import annotations

from typing import Any

DECISION_REQUEST: dict[str, Any] = {
    "policy_id": "threshold",
    "asset_id": "be-1",
    "battery": {"power_mw": 1.0, "capacity_mwh": 2.0, "max_cycles_per_day": 1.1},
    "state": {"soc_fraction": 0.55, "cycles_used_today": 0.71},
    "market": {
        "imbalance_price_eur_mwh": {
            "start": "2026-11-22T12:00:00Z",
            "values": [95.1, 101.3, 88.0, 240.5, 180.2, 120.0, 77.7, 64.9, 55.0, 60.1, 71.2, 98.6, 130.3, 212.4],
        }
    },
}

ASSET_REQUEST: dict[str, Any] = {"asset_id": "be-1"}

DECISION: dict[str, Any] = {
    "schema_version": "1.0",
    "decision_id": "0a0a4d5e-3f0e-4a53-9f44-4a9f6f6f6c11",
    "asset_id": "be-1",
    "generated_at": "2026-11-22T15:30:07Z",
    "data_as_of": "2026-11-22T15:29:00Z",
    "valid_from": "2026-11-22T15:31:00Z",
    "valid_until": "2026-11-22T15:32:00Z",
    "sign_convention": "discharge_positive",
    "setpoint": {"action": "discharge", "power_mw": 0.8, "charge_mw": 0.0, "discharge_mw": 0.8},
    "expected": {
        "soc_fraction_start": 0.55,
        "soc_fraction_end": 0.54,
        "profit_eur": {"mean": 31.2, "p05": -12.0, "p50": 28.9, "p95": 88.1},
    },
    "alternatives": [{"action": "idle", "profit_eur": {"mean": 22.0, "p05": 1.0, "p50": 21.0, "p95": 44.0}}],
    "risk": {"aversion": 0.0, "measure": "cvar", "level": 0.1, "weight": 0.3},
    "cycles": {"used_today": 0.71, "budget": 1.1, "resets_at": "2026-11-22T23:00:00Z"},
    "mode": "policy",
    "fallback": {"level": 0, "name": "policy", "reason": None},
    "shield": {"applied": True, "rule": "cycle_budget", "requested_mw": 1.0},
    "reasons": [{"code": "discharging_beats_idling", "params": {"indicative_price_eur_mwh": 212.4}}],
    "data_quality": {"imbalance_price": "ok", "age_s": 67.0, "findings": []},
    "policy": {"id": "be", "sha256": "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"},
    "warnings": [],
}

ASSET: dict[str, Any] = {
    "battery": {"power_mw": 1.0, "capacity_mwh": 2.0, "max_cycles_per_day": 1.1},
    "policy_id": "threshold",
    "ramp_mw_per_min": 0.5,
    "state": {"soc_fraction": 0.5},
}

OVERRIDE: dict[str, Any] = {
    "kind": "setpoint",
    "power_mw": -0.5,
    "until": "2026-11-22T18:00:00Z",
    "reason": "maintenance",
}

BACKTEST: dict[str, Any] = {
    "strategy": "threshold",
    "data": "sample",
    "start": "2025-04-01T00:00:00+02:00",
    "end": "2025-04-03T00:00:00+02:00",
}
