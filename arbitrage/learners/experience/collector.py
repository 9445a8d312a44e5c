"""Steps environments and records transitions: any Gymnasium environment, several copies side by side.

Contract
- The end of an episode by truncation is no end of the problem: the value after it counts. Only termination cuts it.
- A transition spans `steps` steps where it can; one that meets the end of an episode is shorter, and says so in its
  discount.
- Actions in (-1, 1) are stretched to the bounds of a Box; rewards are multiplied by `reward_scale`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from arbitrage.arrays import Flags
from arbitrage.errors import BadInput, Fault
from arbitrage.learners.neural.batch import Batch
from arbitrage.learners.neural.learner import Learner, LearningProblem

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionConfig:
    """Settings."""

    discount: float = 0.99
    steps: int = 1
    """Steps that a transition spans (n-step returns)."""
    reward_scale: float = 1.0


def problem_of(env: VectorEnv[Any, Any, Any]) -> LearningProblem:
    """Sizes of a vector environment's observation and action. Raises BadInput for spaces that no learner here takes."""
    observation, action = env.single_observation_space, env.single_action_space
    faults = []
    if not isinstance(observation, gymnasium.spaces.Box):
        faults.append(Fault("observation space", f"must be a Box, not {observation}"))
    if not isinstance(action, gymnasium.spaces.Discrete | gymnasium.spaces.Box):
        faults.append(Fault("action space", f"must be Discrete or a Box, not {action}"))
    if isinstance(action, gymnasium.spaces.Box) and not action.is_bounded():
        faults.append(Fault("action space", f"must have bounds, not {action}"))
    if env.metadata.get("autoreset_mode") is not AutoresetMode.NEXT_STEP:
        faults.append(Fault("environment", "must reset itself in the step after the last (AutoresetMode.NEXT_STEP)"))
    if faults:
        raise BadInput(faults)
    inputs = _numbers_in(observation)
    if isinstance(action, gymnasium.spaces.Discrete):
        return LearningProblem(inputs=inputs, actions=int(action.n))
    return LearningProblem(inputs=inputs, actions=_numbers_in(action), discrete=False)


def _numbers_in(space: gymnasium.Space[Any]) -> int:
    return math.prod(space.shape or ())


class Collector:
    """A vector environment that is being stepped."""

    def __init__(self, env: VectorEnv[Any, Any, Any], config: CollectionConfig, seed: int) -> None:
        self.env = env
        self.config = config
        self.problem = problem_of(env)
        observation, _ = env.reset(seed=seed)
        self._observation = self._flat(observation)
        self._fresh = np.zeros(env.num_envs, dtype=np.bool_)
        """Whose next step only resets."""
        self._pending: list[_Step] = []
        self._return = np.zeros(env.num_envs)
        self.finished: list[float] = []
        """Returns of the episodes that ended since this list was last emptied."""

    def step(self, learner: Learner, progress: float) -> Batch | None:
        """One step of every copy; returns the transitions that are complete, None while the first ones are not."""
        actions, entropies = learner.act(torch.from_numpy(self._observation).to(learner.device), progress)
        return self._live(actions.cpu(), entropies.cpu())

    def step_randomly(self, generator: torch.Generator) -> Batch | None:
        """The same with random actions, for a beginning."""
        count, actions = self.env.num_envs, self.problem.actions
        if self.problem.discrete:
            drawn = torch.randint(actions, (count,), generator=generator, device=generator.device)
            return self._live(drawn.cpu(), torch.full((count,), float(np.log(actions))))
        drawn = 2.0 * torch.rand(count, actions, generator=generator, device=generator.device) - 1.0
        return self._live(drawn.cpu(), torch.zeros(count))

    def step_greedily(self, learner: Learner) -> list[tuple[int, float]]:
        """One step with the best actions known; which copies ended an episode, and its return. Nothing is kept."""
        actions = learner.act_greedily(torch.from_numpy(self._observation).to(learner.device)).cpu()
        self._live(actions, torch.zeros(len(actions)))
        ended = np.flatnonzero(self._fresh).tolist()
        returns, self.finished, self._pending = self.finished, [], []
        return list(zip(ended, returns, strict=True))

    def _live(self, actions: torch.Tensor, entropies: torch.Tensor) -> Batch | None:
        taken = actions.numpy()
        observation, reward, terminated, truncated, _ = self.env.step(self._for_env(taken))
        after, acted = self._flat(observation), ~self._fresh
        rewards = np.asarray(reward, dtype=np.float64)
        ended = (terminated | truncated) & acted
        scaled = (rewards * self.config.reward_scale).astype(np.float32)
        before, entropy = self._observation, entropies.numpy()
        self._pending.append(_Step(before, taken, scaled, after, terminated & acted, ended, acted, entropy))
        self._note_returns(rewards, acted, ended)
        self._observation, self._fresh = after, ended
        return self._complete()

    def _note_returns(self, rewards: npt.NDArray[np.float64], acted: Flags, ended: Flags) -> None:
        self._return += np.where(acted, rewards, 0.0)
        self.finished.extend(self._return[ended].tolist())
        self._return[ended] = 0.0

    def _complete(self) -> Batch | None:
        """Transitions that begin at the oldest pending step, once enough steps follow it."""
        if len(self._pending) < self.config.steps:
            return None
        made = _transition(self._pending, self.config.discount)
        self._pending.pop(0)
        return made

    def _flat(self, observation: Any) -> Floats:
        """A copy, for an environment may write its next observations into the same array."""
        return np.array(observation, dtype=np.float32).reshape(self.env.num_envs, -1)

    def _for_env(self, taken: npt.NDArray[Any]) -> npt.NDArray[Any]:
        space = self.env.single_action_space
        if isinstance(space, gymnasium.spaces.Discrete):
            return np.asarray(taken + space.start)
        assert isinstance(space, gymnasium.spaces.Box)
        stretched = space.low + (taken.reshape(-1, *space.shape) + 1.0) / 2.0 * (space.high - space.low)
        # Rounding may carry the end of the range past the bound by the last bit.
        return np.asarray(np.clip(stretched, space.low, space.high).astype(space.dtype))


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of all copies, arrays of shape [copies, ...]."""

    observation: Floats
    action: npt.NDArray[Any]
    reward: Floats
    after: Floats
    terminated: Flags
    ended: Flags
    acted: Flags
    """False where the step only reset."""
    entropy: Floats


def _transition(window: list[_Step], discount: float) -> Batch:
    """From the first step of the window on, as far as each copy's episode goes."""
    first = window[0]
    reward, after = np.zeros(len(first.reward)), first.after.copy()
    factor, going = np.ones(len(reward)), first.acted.copy()
    terminated = np.zeros(len(reward), dtype=np.bool_)
    for step in window:
        reward += np.where(going, factor * step.reward, 0.0)
        factor = np.where(going, factor * discount, factor)
        after[going] = step.after[going]
        terminated |= going & step.terminated
        going &= ~step.ended
    kept = torch.from_numpy(first.acted)
    parts = (
        first.observation,
        first.action,
        reward.astype(np.float32),
        after,
        np.where(terminated, 0.0, factor).astype(np.float32),
        first.entropy,
    )
    return Batch(*(torch.from_numpy(np.ascontiguousarray(part))[kept] for part in parts))
