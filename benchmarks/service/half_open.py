"""Strangers that hold connections to a service half open, for benchmarks of what happens beside them.

One in three sends nothing, one a head without end, one a head byte by byte. Each opens its connection again half a
second after it was closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

HALF = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"
STATES = ("nothing", "half", "dripping")


@dataclass(slots=True)
class Connections:
    """How many connections were made, and how many are open."""

    made: int = 0
    open: int = 0


async def hold_half_open(port: int, count: int, connections: Connections) -> None:
    """Hold so many connections half open, until cancelled."""
    await asyncio.gather(*(_stranger(port, STATES[number % len(STATES)], connections) for number in range(count)))


async def _stranger(port: int, state: str, connections: Connections) -> None:
    """Hold one connection half open, over and over again."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            connections.made += 1
            connections.open += 1
            try:
                await _wait_for_the_end(reader, writer, state)
            finally:
                connections.open -= 1
                writer.close()
        await asyncio.sleep(0.5)


async def _wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: str) -> None:
    """Send what the state says and wait until the service closes the connection."""
    writer.write(b"" if state == "nothing" else HALF)
    dripping = asyncio.create_task(_drip(writer)) if state == "dripping" else None
    try:
        await reader.read()
    finally:
        if dripping is not None:
            dripping.cancel()


async def _drip(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(1.0)


def hold_for(port: int, count: int, seconds: float) -> tuple[int, list[int]]:
    """Hold so many connections half open for so long.

    Returns how many were made in all, and how many were open each second.
    """
    connections, open_each_second = Connections(), []

    async def together() -> None:
        holding = asyncio.create_task(hold_half_open(port, count, connections))
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            await asyncio.sleep(1.0)
            open_each_second.append(connections.open)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)

    asyncio.run(together())
    return connections.made, open_each_second
