from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from api.background.warm_up import UNREADY, warm_up_all


def policies(*names: str) -> Any:
    learned = [SimpleNamespace(policy_id=name, card={"kind": "x"}) for name in names]
    return SimpleNamespace(all=lambda: [SimpleNamespace(policy_id="rule", card={}), *learned])


def test_a_policy_that_cannot_decide_is_named_with_the_reason_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.background.warm_up.AGAIN_S", (0.01, 0.02))
    tried: list[str] = []
    seen: list[str] = []
    unready: dict[str, str] = {}

    def warm_up(served: Any) -> None:
        tried.append(served.policy_id)
        seen.append(unready[UNREADY])
        if served.policy_id == "broken" and tried.count("broken") < 4:
            raise MemoryError("no room for compiled loops")

    monkeypatch.setattr("api.background.warm_up.warm_up", warm_up)

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as threads:
            await warm_up_all(policies("good", "broken"), threads, unready)

    asyncio.run(scenario())
    assert unready == {}
    assert tried == ["good", "broken", "broken", "broken", "broken"], "those that can decide are not tried again"
    assert seen[1] == "are being compiled"
    assert seen[2] == "cannot decide, broken: MemoryError: no room for compiled loops; tried again in 0.01 s"
    assert seen[4].endswith("tried again in 0.02 s")
