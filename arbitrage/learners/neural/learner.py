"""What the algorithms share: state in named tensors, one update as one compiled graph, and how they act.

Contract
- An algorithm is a file: its settings, its update from a batch, how it acts. The update is a function that changes the
  state's tensors in place; here it is compiled, graph and optimiser in one, so that small networks on a processor are
  not bound by overhead. On a GPU the compiled update is recorded once and replayed.
- Everything random comes from one generator, whose state is part of a checkpoint: a run that is taken up again goes on
  as if it had not stopped, to the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from arbitrage.errors import BadInput, Fault
from arbitrage.learners.neural.batch import Batch, take
from arbitrage.learners.neural.nets import Layout, Standard, as_they_are
from arbitrage.policies.network_policy import PlainNetwork


class UpdateReport(NamedTuple):
    """Figures of one update; scalars but for `error`."""

    loss: Tensor
    value_mean: Tensor
    """Mean value that the batch is thought to have, in the learner's unit."""
    value_largest: Tensor
    """Largest of their sizes: what runs away when training diverges."""
    entropy: Tensor
    """Of the policy, 0 where it has none."""
    temperature: Tensor
    """Price of entropy, 0 where there is none."""
    error: Tensor
    """Shape [batch]; size of each transition's error, for prioritised replay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningProblem:
    """What is to be learned: the sizes of observation and action."""

    inputs: int
    actions: int
    """How many discrete ones, or how many numbers a continuous one has."""
    discrete: bool = True


State = tuple[Any, ...]
"""A NamedTuple of tensors and of NamedTuples of tensors."""


class Learner(ABC):
    """One agent being trained."""

    noise_draws = 0
    """Standard normal numbers that an update needs for each transition and continuous action."""

    def __init__(
        self,
        problem: LearningProblem,
        seed: int,
        *,
        standard: Standard | None = None,
        device: str = "cpu",
        compiled: bool = True,
    ) -> None:
        self.problem = problem
        self.device = torch.device(device)
        begin = torch.Generator().manual_seed(seed + _WEIGHTS_SEED)
        self.state = _to(self.begin(begin), self.device)
        self.standard = Standard(*(part.to(self.device) for part in standard or as_they_are(problem.inputs)))
        self.generator = torch.Generator(self.device).manual_seed(seed)
        step: Callable[..., UpdateReport] = self._learn
        if compiled:
            options: dict[str, Any] = {"guard_filter_fn": _what_may_change}
            if self.device.type == "cpu":
                options["cpp_wrapper"] = True
            step = torch.compile(_with_own_code(self._learn), fullgraph=True, dynamic=False, options=options)
        self._step = _Recorded(step) if self.device.type == "cuda" else step

    @abstractmethod
    def begin(self, generator: torch.Generator) -> State:
        """The state before the first update."""

    @abstractmethod
    def learn(self, batch: Batch, weight: Tensor, noise: Tensor) -> UpdateReport:
        """One update in place; observations are standardised. weight: [batch]; noise: [draws, batch, actions]."""

    @abstractmethod
    def act(self, observations: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Actions that explore, and the policy's entropy [batch], for observations [batch, inputs].

        progress: share of the training that is over, 0 to 1.
        """

    @abstractmethod
    def act_greedily(self, observations: Tensor) -> Tensor:
        """The best actions known, for observations [batch, inputs]."""

    def update(self, storage: Batch, rows: Tensor, weight: Tensor | None = None) -> UpdateReport:
        """One update from rows [batch] of the storage; weight: [batch], None where all count the same."""
        if weight is None:
            weight = torch.ones(len(rows), device=self.device)
        shape = (self.noise_draws, len(rows), self.problem.actions if self.noise_draws else 0)
        noise = torch.randn(shape, generator=self.generator, device=self.device)
        report: UpdateReport = self._step(storage, rows, weight, noise)
        return report

    def _learn(self, storage: Batch, rows: Tensor, weight: Tensor, noise: Tensor) -> UpdateReport:
        batch = take(storage, rows)
        return self.learn(
            batch._replace(
                observation=self.standard(batch.observation), next_observation=self.standard(batch.next_observation)
            ),
            weight,
            noise,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything that training changes, by name; the generator's state included."""
        return {**_named(self.state, ""), "generator": self.generator.get_state()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up the state that `tensors` once returned."""
        for name, own in _named(self.state, "").items():
            own.copy_(tensors[name])
        self.generator.set_state(tensors["generator"].cpu())

    @abstractmethod
    def served(self) -> dict[str, Any]:
        """What acts when training is over, by the names of `NetworkPolicy`: plain arrays, and how they are read.

        Where an actor chooses, it has learned the risk preference itself.
        """

    def plain(self, layout: Layout, flat: Tensor) -> tuple[PlainNetwork, ...]:
        """Each of the stacked networks, with the standardisation of its inputs, as plain arrays."""
        parts = [part.detach().cpu().numpy().copy() for part in layout.unpack(flat)]
        mean, std = (np.ascontiguousarray(part.cpu().numpy(), dtype=np.float32) for part in self.standard[:2])
        return tuple(
            PlainNetwork(
                mean=mean,
                std=std,
                limit=float(self.standard.limit),
                weights=tuple(np.ascontiguousarray(weight[k]) for weight in parts[0::2]),
                biases=tuple(np.ascontiguousarray(bias[k, 0]) for bias in parts[1::2]),
            )
            for k in range(layout.stacked)
        )

    def handed_on(self) -> dict[str, Tensor]:
        """What another learner of the same kind may begin with: the state and the standardisation, by name."""
        standard = {f"standard.{name}": part for name, part in self.standard._asdict().items()}
        return {**_named(self.state, "state."), **standard}

    def take_over(self, tensors: dict[str, Tensor]) -> None:
        """Begin with what another learner's `handed_on` returned. The own stream of random numbers stays.

        Raises BadInput if the other learner was of another kind or problem.
        """
        own = self.handed_on()
        if {name: part.shape for name, part in own.items()} != {name: part.shape for name, part in tensors.items()}:
            raise BadInput([Fault("warm start", "the kept learner is of another algorithm, other sizes or features")])
        with torch.no_grad():
            for name, part in own.items():
                part.copy_(tensors[name])


def _named(state: Any, prefix: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, part in state._asdict().items():
        found |= {prefix + name: part} if isinstance(part, Tensor) else _named(part, f"{prefix}{name}.")
    return found


def _to(state: Any, device: torch.device) -> Any:
    return type(state)(*(part.to(device) if isinstance(part, Tensor) else _to(part, device) for part in state))


def _with_own_code(method: Any) -> Callable[..., UpdateReport]:
    """The same method with a code object to itself.

    Compiled graphs are kept with the code, a few at most: learners that share it would push each other's out.
    """
    function = method.__func__
    copy = FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    return MethodType(copy, method.__self__)


def _what_may_change(guards: Sequence[Any]) -> list[bool]:
    """Of the guards that a compiled update checks at every call, those that another call can break.

    A learner's own tensors and settings keep their shapes and values for life (what is loaded is copied in place), and
    its graph is its own: looking at each of them again costs an eighth to a quarter of a small network's update.
    """
    return [guard.name.split(".")[0] in _CHANGING for guard in guards]


class _Recorded:
    """A function on a GPU, recorded once as a graph of kernels and then replayed on fresh inputs."""

    def __init__(self, step: Callable[..., UpdateReport]) -> None:
        self._step = step
        self._inputs: list[Tensor] = []
        self._outputs: UpdateReport
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = 0

    def __call__(self, storage: Batch, *rest: Tensor) -> UpdateReport:
        given = [*storage, *rest]
        if self._graph is None:
            return self._warm_up(given)
        for own, new in zip(self._inputs, given, strict=True):
            if own.data_ptr() != new.data_ptr():
                own.copy_(new)
        self._graph.replay()
        return self._outputs

    def _warm_up(self, given: list[Tensor]) -> UpdateReport:
        """Compiling and the allocator settle in the first calls; the graph is recorded, and replayed, in the next."""
        count = len(Batch._fields)
        if self._warm < _WARM_UP_CALLS:
            self._warm += 1
            return self._step(Batch(*given[:count]), *given[count:])
        self._inputs = [tensor if position < count else tensor.clone() for position, tensor in enumerate(given)]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = self._step(Batch(*self._inputs[:count]), *self._inputs[count:])
        self._graph.replay()
        return self._outputs


_CHANGING = ("", "storage", "rows", "weight", "noise")
"""The arguments of an update; no name: torch's own modes, such as whether gradients are taken."""
_WARM_UP_CALLS = 3
_WEIGHTS_SEED = 1_000_003
"""First weights and exploration do not share a stream of numbers."""
