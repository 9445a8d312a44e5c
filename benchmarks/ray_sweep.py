"""A sweep on a two-node Ray cluster on this machine, one node killed in the middle: the same bytes as without.

    python benchmarks/ray_sweep.py [--seeds 4] [--kill-after 1] [--sample] [--keep DIR] [--json OUT]

Both nodes have one processor and a small object store of their own; the second is killed outright, with all its
processes, once so many tasks are finished. The same sweep runs before on one process of this machine. Every file of
every run folder is compared. Real prices of 2022, the reference's split; with --sample rules alone on the simulated
sample. Needs `pip install 'arbitrage[ray]'`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from arbitrage.battery import Battery
from arbitrage.code_revision import code_revision
from arbitrage.experiments.sweep.plan import SweepPlan, SweepWindow, TrainingSettings
from arbitrage.experiments.sweep.ray_workers import RayWorkers
from arbitrage.experiments.sweep.run import SweepResults, SweepState, run_sweep
from arbitrage.experiments.sweep.workers import ProcessWorkers, Workers
from arbitrage.learners.closed_form.config import Preset
from arbitrage.market.files.read import read_market
from arbitrage.market.series import MarketSeries
from arbitrage.market.simulation.embedded_sample import sample_market
from arbitrage.market.splits import DaysOfMonth

DATA = Path(__file__).parents[2] / "shared" / "data"
OBJECT_STORE_BYTES = 80_000_000
"""The least that Ray takes is 75 MiB."""
READY_S = 120.0
AT_WORK_S = 0.5
"""From handing a task to the cluster to the kill, so that the node is in the middle of it."""
console = Console(stderr=True)


def market_2022() -> MarketSeries:
    prices, ahead = DATA / "imbalance_qh_2022.parquet", DATA / "day_ahead_hourly_2021_2022.parquet"
    return read_market(prices, day_ahead=ahead)


def plan_of(strategies: tuple[str, ...], seeds: int) -> SweepPlan:
    window = SweepWindow(
        name="days 26-31",
        train_days=DaysOfMonth(1, 20),
        validation_days=DaysOfMonth(21, 25),
        test_days=DaysOfMonth(26, 31),
    )
    return SweepPlan(
        strategies=strategies,
        windows=(window,),
        batteries={"capped": Battery(max_cycles_per_day=1.1)},
        seeds=tuple(range(seeds)),
        training=TrainingSettings(preset=Preset.QUICK),
    )


class Node:
    """A node of the cluster and everything that it starts."""

    def __init__(self, *where: str) -> None:
        ray = [str(Path(sys.executable).with_name("ray")), "start", *where, "--num-cpus=1", "--block"]
        ray += [f"--object-store-memory={OBJECT_STORE_BYTES}", "--disable-usage-stats"]
        package = str(Path(__file__).parents[1])
        environment = os.environ | {"PYTHONPATH": package, "RAY_DISABLE_IMPORT_WARNING": "1"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(ray, env=environment, start_new_session=True, **quiet)

    def kill(self) -> int:
        """End it and all its processes without warning; returns how many there were."""
        tree: list[psutil.Process] = []
        if psutil.pid_exists(self._process.pid):
            own = psutil.Process(self._process.pid)
            tree = [own, *own.children(recursive=True)]
        for process in tree:
            if process.is_running():
                process.send_signal(signal.SIGKILL)
        self._process.wait()
        return len(tree)


@contextmanager
def two_nodes() -> Iterator[tuple[str, Node]]:
    """The cluster's address, and the node that may be killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    folder = tempfile.mkdtemp(prefix="ray-")
    here = "--node-ip-address=127.0.0.1"
    head = Node("--head", here, f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
    nodes = [head]
    try:
        wait_for_port(port)
        nodes.append(Node(f"--address={address}", here))
        yield address, nodes[1]
    finally:
        for node in reversed(nodes):
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_port(port: int) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"Ray's head did not answer within {READY_S:g} s")


def wait_for_nodes(workers: RayWorkers, count: int) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if workers.processors >= count:
            return
        time.sleep(0.2)
    raise RuntimeError(f"the cluster did not come to {count} processors within {READY_S:g} s")


def sweep(plan: SweepPlan, market: MarketSeries, out: Path, workers: Workers, tell: Any = None) -> dict[str, Any]:
    """One sweep, timed."""
    remarks: list[str] = []

    def listen(state: SweepState) -> None:
        if state.remark:
            console.print(state.remark, highlight=False, markup=False)
            remarks.append(state.remark)
        if tell is not None:
            tell(state)

    began = time.perf_counter()
    results: SweepResults = run_sweep(plan, market, out, workers, tell=listen)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "tasks": len(results.folders), "failures": results.failures, "remarks": remarks}


def on_cluster(plan: SweepPlan, market: MarketSeries, out: Path, kill_after: int) -> dict[str, Any]:
    """The sweep on two nodes, of which one is killed."""
    with two_nodes() as (address, second):
        workers = RayWorkers(market, address)
        wait_for_nodes(workers, 2)
        killed: list[int] = []

        def kill(state: SweepState) -> None:
            if state.finished >= kill_after and len(state.running) > 1 and not killed:
                console.print(f"{state.finished} of {state.tasks} tasks are finished: killing a node", highlight=False)
                time.sleep(AT_WORK_S)
                killed.append(second.kill())

        answer = sweep(plan, market, out, workers, kill)
        return {**answer, "processes_killed": sum(killed)}


def run_files(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("run/**/*") if file.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--kill-after", type=int, default=1, help="finished tasks after which a node is killed")
    parser.add_argument("--sample", action="store_true", help="rules alone on the embedded simulated market")
    parser.add_argument("--keep", type=Path, help="where the results go; default: nowhere")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    market = sample_market() if arguments.sample else market_2022()
    rules = ("idle", "threshold", "spread")
    plan = plan_of(rules if arguments.sample else ("learned", *rules), arguments.seeds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        answer: dict[str, Any] = {"one process": sweep(plan, market, folder / "process", ProcessWorkers(market, 1))}
        answer["two nodes, one killed"] = on_cluster(plan, market, folder / "ray", arguments.kill_after)
        one, other = run_files(folder / "process"), run_files(folder / "ray")
    answer |= {"files": len(one), "identical": one == other, "code_revision": code_revision()}
    for name in ("one process", "two nodes, one killed"):
        row = answer[name]
        print(f"{name}: {row['tasks']} tasks in {row['seconds']:.0f} s, {len(row['failures'])} failures")
    cluster = answer["two nodes, one killed"]
    print(f"killed {cluster['processes_killed']} processes; tried again: {len(cluster['remarks'])}")
    print(f"{len(one)} files of run folders, {'identical' if one == other else 'NOT identical'}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(answer, indent=2) + "\n")
    if one != other or cluster["failures"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
