"""DQN: deep Q-learning with a replay buffer and a target network.

Mnih et al. 2015, Human-level control through deep reinforcement learning, algorithm 1,
https://www.nature.com/articles/nature14236; double: van Hasselt et al. 2016, https://arxiv.org/abs/1509.06461.

Differs from the paper:
    The target network follows by Polyak averaging unless `update_steps` is set. Exploration decays
    geometrically unless `exploration_steps` is set. The loss is the mean squared error unless
    `criterion` names another. Updates come in rounds after each episode (`collect_steps`),
    `updates_per_step` for each environment step.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from sweeprl.config import (
    Choice,
    ClassRef,
    Discrete,
    EnvSpec,
    Float,
    FrameConfig,
    Int,
    ReplayConfig,
    Traced,
)
from sweeprl.frames._base import Batch, Hyperparameters, Loss, Networks, ReplayFrame, Role
from sweeprl.functional import double_q_value, select_action_value, td_target, weighted_mean
from sweeprl.networks import QNet, Resolver

__all__ = ["DQN", "DQNConfig"]


class DQNConfig(ReplayConfig):
    """Settings of DQN."""

    models: list[ClassRef] = ["QNet", "QNet"]
    model_args: list[list[Any]] = [[], []]
    model_kwargs: list[dict[str, Any]] = [{}, {}]
    criterion: ClassRef = "MSELoss"
    """Loss of the temporal-difference error: a class, its importable name, or its name in
    `torch.nn`."""
    criterion_args: list[Any] = []
    """Positional constructor arguments of the criterion."""
    criterion_kwargs: dict[str, Any] = {}
    """Keyword constructor arguments of the criterion."""
    learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 1e-2, log=True), Traced()] = 1e-3
    """Step size of the optimizer."""
    epsilon_decay: Annotated[float, Field(gt=0, le=1), Traced()] = 0.9999
    """Factor on the probability of a random action for each environment step, starting from 1."""
    epsilon_end: Annotated[float, Field(ge=0, le=1), Float(0.0, 0.2), Traced()] = 0.01
    """Probability of a random action that it does not fall below."""
    exploration_steps: Annotated[
        float | None, Field(gt=0), Int(1000, 50_000, log=True), Traced()
    ] = None
    """Environment steps over which that probability falls linearly from 1 to `epsilon_end`,
    instead of `epsilon_decay`."""
    mode: Annotated[
        Literal["vanilla", "fixed_target", "double"], Choice(("vanilla", "fixed_target", "double"))
    ] = "double"
    """Who bootstraps: the online network, the target network, or the target network on the online
    one's choice."""


class DQN(ReplayFrame):
    """Deep Q-learning: vanilla, with a fixed target network, or double. Discrete actions."""

    Config = DQNConfig
    config: DQNConfig
    roles = (Role("qnet", "QNet"), Role("qnet_target", "QNet", follows="qnet"))
    actions = (Discrete,)
    action_noise = 2  # whether to explore, and with which action

    def __init__(
        self, config: FrameConfig, spec: EnvSpec, resolver: Resolver | None = None
    ) -> None:
        super().__init__(config, spec, resolver)
        assert isinstance(spec.action, Discrete)
        self.action_num = spec.action.num
        self.criterion = self.resolver.criterion(
            self.config.criterion, self.config.criterion_args, self.config.criterion_kwargs
        )

    def default_network(self, role: Role) -> type[nn.Module]:
        """A multilayer perceptron."""
        return QNet

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The temporal-difference error."""
        return (Loss("q_loss", {"qnet": "learning_rate"}, self.q_loss),)

    def act(
        self,
        networks: Networks,
        state: Tensor,
        noise: Tensor,
        hp: Hyperparameters,
        step: Tensor,
        *,
        greedy: bool = False,
        epsilon: float | None = None,
    ) -> Tensor:
        """Acts epsilon-greedily; `epsilon` replaces the schedule."""
        best = self.action_values(networks.qnet(state=state), hp).argmax(-1)
        if greedy and epsilon is None:
            return best
        threshold = self.epsilon(hp, step) if epsilon is None else epsilon
        explore, which = torch.special.ndtr(noise).unbind(-1)
        random = (which * self.action_num).long().clamp_max(self.action_num - 1)
        return torch.where(explore < threshold, random, best)

    def action_values(self, output: Tensor, hp: Hyperparameters) -> Tensor:
        """Values `(B, A)` from what a Q network returned."""
        return output

    def epsilon(self, hp: Hyperparameters, step: Tensor) -> Tensor:
        """Probability of a random action after `step` environment steps."""
        if self.config.exploration_steps is None:
            scheduled = torch.maximum(hp["epsilon_decay"] ** step, hp["epsilon_end"])
        else:
            progress = (step / hp["exploration_steps"]).clamp_max(1.0)
            scheduled = 1 + progress * (hp["epsilon_end"] - 1)
        return torch.where(step < hp["warmup_steps"], 1.0, scheduled)

    def q_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean criterion of the temporal-difference error, equation 2 of the paper."""
        q_tm1, target = self.values(networks, batch, hp)
        loss = weighted_mean(self.criterion(q_tm1, target).expand_as(target), batch["weight"])
        return loss, {"q_value": weighted_mean(q_tm1.detach(), batch["weight"])}

    def values(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, Tensor]:
        """Values of the actions taken, and their targets, both `(B,)`."""
        with torch.no_grad():
            v_t = self.bootstrap(networks, batch["next_state"])
            discount_t = hp["discount"] * (1 - batch["terminated"])
            target = td_target(batch["reward"], discount_t, v_t)
        return select_action_value(networks.qnet(state=batch["state"]), batch["action"]), target

    def bootstrap(self, networks: Networks, state: Tensor) -> Tensor:
        """Value of each state, as `mode` says, `(B,)`."""
        if self.config.mode == "vanilla":
            value: Tensor = networks.qnet(state=state).amax(-1)
        elif self.config.mode == "fixed_target":
            value = networks.qnet_target(state=state).amax(-1)
        else:
            value = double_q_value(networks.qnet_target(state=state), networks.qnet(state=state))
        return value

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether there is one value for each action."""
        return isinstance(output[0], Tensor) and output[0].shape == (2, self.action_num)

    def contract(self, role: Role) -> str:
        """What a Q network takes and returns."""
        size = self.spec.observation_size
        return f"A Q network must take `state` (B, {size}) and return (B, {self.action_num})."
