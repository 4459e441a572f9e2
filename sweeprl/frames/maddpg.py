"""MADDPG: DDPG for several agents, each with a critic that sees what the others see and do.

Lowe et al. 2017, Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments, algorithm
1 and section 4.3, https://arxiv.org/abs/1706.02275.

Differs from the paper:
    All agents learn from one batch in an update, and all critics step before the actors. Discrete
    actions are served through the actors' probabilities, which critics take as they are, without
    the Gumbel-softmax relaxation; the warm-up is uniform. Policies are not inferred from what
    others do (section 4.2): critics know them. Of an ensemble (section 4.3), all policies learn
    from one memory: each transition of a batch goes, for each agent, to one of its policies drawn
    at random, and the next actions in targets are those of policies drawn likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor
from typing_extensions import Self

from sweeprl.config import (
    ClassRef,
    Continuous,
    EnvSpec,
    FrameConfig,
    Inert,
    MultiDiscrete,
)
from sweeprl.errors import ConfigError
from sweeprl.frames._base import Batch, Hyperparameters, Loss, Networks, Role
from sweeprl.frames.ddpg import DDPG, DDPGConfig
from sweeprl.functional import as_probabilities, categorical_sample, td_target, weighted_mean
from sweeprl.networks import Resolver

__all__ = ["MADDPG", "MADDPGConfig"]

_KINDS = ("actor", "actor_target", "critic", "critic_target")


class MADDPGConfig(DDPGConfig):
    """Settings of MADDPG."""

    models: list[list[ClassRef]] = [["Actor"], ["Actor"], ["Critic"], ["Critic"]]  # type: ignore[assignment]
    """Actors, target actors, critics and target critics: a list each, of one for every agent or of
    one for each. Classes, globals of the caller, `module.Class`, or a default's name."""
    model_args: list[list[list[Any]]] = [[[]], [[]], [[]], [[]]]
    """Positional constructor arguments, in lists likewise."""
    model_kwargs: list[list[dict[str, Any]]] = [[{}], [{}], [{}], [{}]]  # type: ignore[assignment]
    """Keyword constructor arguments, in lists likewise. `state_dim`, `action_dim` and `action_num`
    are filled in for the agent, or for what its critic sees, where the constructor has them."""
    critic_visible_actors: list[list[int]] | None = None
    """Numbers of the agents whose observations and actions each agent's critic sees, itself among
    them; null is all agents."""
    sub_policy_num: Annotated[int, Field(ge=0)] = 0
    """Further policies of each agent: with k, one of k + 1 is drawn for each episode."""
    use_jit: Annotated[bool, Inert()] = True
    """Kept for configs of the predecessor; has no effect."""
    pool_type: Annotated[str, Inert()] = "thread"
    """Kept for configs of the predecessor; has no effect."""
    pool_size: Annotated[int | None, Inert()] = None
    """Kept for configs of the predecessor; has no effect."""

    @field_validator("models", "model_args", "model_kwargs", mode="before")
    @classmethod
    def _one_for_every_agent(cls, given: Any) -> Any:
        """Takes what stands where a list should as that for every agent."""
        if not isinstance(given, list):
            return given
        return [own if isinstance(own, list) and own else [own] for own in given]

    @model_validator(mode="after")
    def _critics_see_their_agents(self) -> Self:
        for agent, seen in enumerate(self.critic_visible_actors or []):
            if agent not in seen or len(set(seen)) < len(seen):
                raise ValueError(
                    f"`critic_visible_actors[{agent}]` must hold {agent}, the agent itself, and no "
                    f"number twice, but is {seen}."
                )
        return self


class MADDPG(DDPG):
    """DDPG for several agents, with critics that see all of them."""

    Config = MADDPGConfig
    config: MADDPGConfig
    actions = (MultiDiscrete, Continuous)
    needs_agents = True

    def __init__(
        self, config: FrameConfig, spec: EnvSpec, resolver: Resolver | None = None
    ) -> None:
        super().__init__(config, spec, resolver)
        agents = range(len(spec.agents))
        self.is_discrete = isinstance(spec.action, MultiDiscrete)
        self.widths = [agent.action.num_outputs for agent in spec.agents]
        """Numbers that each agent's actor returns."""
        self.width = sum(self.widths)
        visible = self.config.critic_visible_actors
        self.seen = [list(agents)] * len(agents) if visible is None else visible
        """Whom each agent's critic sees, by number."""
        self._check_numbers()
        policies = range(1 + self.config.sub_policy_num)
        self._actors = [[_name("actor", i, k) for k in policies] for i in agents]
        self._targets = [[_name("actor_target", i, k) for k in policies] for i in agents]
        self._critics = [_name("critic", i) for i in agents]
        self._agent_of = {
            _name(kind, i, k): (kind, i)
            for kind in _KINDS
            for i in agents
            for k in (policies if kind.startswith("actor") else (0,))
        }
        self.roles = tuple(_role(name, *place) for name, place in self._agent_of.items())

    def _check_numbers(self) -> None:
        num, config = len(self.spec.agents), self.config
        for name in ("models", "model_args", "model_kwargs"):
            for kind, own in zip(_KINDS, getattr(config, name), strict=True):
                if len(own) not in (1, num):
                    raise ConfigError(
                        f"frame_config.{name} must hold one element for every agent or {num}, one "
                        f"for each agent of {self.spec.name}, but holds {len(own)} for '{kind}'."
                    )
        is_known = all(0 <= agent < num for seen in self.seen for agent in seen)
        if len(self.seen) != num or not is_known:
            raise ConfigError(
                f"frame_config.critic_visible_actors must hold {num} lists, one for each agent of "
                f"{self.spec.name}, of numbers from 0 to {num - 1}, but is {self.seen}."
            )

    # ---- networks

    def settings_of(self, role: Role) -> tuple[Any, list[Any], dict[str, Any]]:
        """Those for every agent, or the agent's own."""
        kind, agent = self._agent_of[role.name]
        config, number = self.config, _KINDS.index(kind)
        model, args, kwargs = (
            own[number] for own in (config.models, config.model_args, config.model_kwargs)
        )
        return _own(model, agent), _own(args, agent), _own(kwargs, agent)

    def network_spec(self, role: Role) -> EnvSpec:
        """An agent's own part, or all that its critic sees."""
        kind, agent = self._agent_of[role.name]
        seen = [agent] if kind.startswith("actor") else self.seen[agent]
        size = sum(self.spec.agents[i].observation_size for i in seen)
        return EnvSpec(size, Continuous(sum(self.widths[i] for i in seen)), self.spec.name)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """All critics' temporal-difference errors; then the value of all actors' own actions."""
        critics = dict.fromkeys(self._critics, "critic_learning_rate")
        actors = {name: "actor_learning_rate" for own in self._actors for name in own}
        return (
            Loss("critic_loss", critics, self.critic_loss, is_noisy=self.is_ensemble),
            Loss("actor_loss", actors, self.actor_loss, is_noisy=self.is_ensemble),
        )

    @property
    def is_ensemble(self) -> bool:
        """Whether agents have several policies each."""
        return self.config.sub_policy_num > 0

    @property
    def loss_noise(self) -> int:
        """One number for each agent, to draw one of its policies."""
        return len(self.spec.agents)

    # ---- acting

    @property
    def action_noise(self) -> int:
        """DDPG's for every agent, and one for each to draw one of several policies."""
        draws = self.is_discrete + self.is_ensemble
        return self.width + len(self.spec.agents) * draws

    @property
    def action_memory(self) -> int:
        """Where correlated noise is, and which of several policies act."""
        return self.width + len(self.spec.agents) * self.is_ensemble

    def carry(self, memory: Tensor, noise: Tensor, act_kwargs: Mapping[str, Any]) -> Tensor:
        """Moves correlated noise on, and where an episode begins draws who acts in it."""
        moved = super().carry(memory[..., : self.width], noise, act_kwargs)
        if not self.is_ensemble:
            return moved
        drawn, fresh = memory[..., self.width :], noise[..., -len(self.spec.agents) :]
        fresh = torch.special.ndtr(fresh).clamp_min(1e-6)  # 0 is where nothing is drawn yet
        return torch.cat([moved, torch.where(drawn == 0, fresh, drawn)], -1)

    def policy(self, networks: Networks, state: Tensor, memory: Tensor | None) -> Tensor:
        """What all actors return, side by side; greedily, those of the first policies."""
        names = self._actors if memory is not None else [own[:1] for own in self._actors]
        return torch.cat(self._acts(networks, names, state, memory), -1)

    def near(self, action: Tensor) -> Tensor:
        """The joint action next to numbers that may lie outside its space."""
        if not self.is_discrete:
            return super().near(action)
        return torch.cat(
            [as_probabilities(own) for own in torch.split(action, self.widths, -1)], -1
        )

    def likeliest(self, p: Tensor) -> Tensor:
        """Each agent's action of the highest probability, `(E, N)`."""
        return torch.stack([own.argmax(-1) for own in torch.split(p, self.widths, -1)], -1)

    def draw(self, p: Tensor, noise: Tensor) -> Tensor:
        """Draws an action of each agent, `(E, N)`."""
        parts = enumerate(torch.split(p, self.widths, -1))
        drawn = [categorical_sample(own.log(), noise[..., agent]) for agent, own in parts]
        return torch.stack(drawn, -1)

    # ---- learning

    def critic_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum over agents of the mean criterion of their errors, equation 6 of the paper."""
        with torch.no_grad():
            targets = self.targets(networks, batch, hp)
        observations, actions = self._observations(batch["state"]), self._taken(batch)
        values = [
            self._value(networks, name, agent, observations, actions)
            for agent, name in enumerate(self._critics)
        ]
        error = [self.error(q, y, hp) for q, y in zip(values, targets, strict=True)]
        loss = weighted_mean(torch.stack(error).sum(0), batch["weight"])
        mean_value = torch.stack(values).detach().mean(0)
        return loss, {"q_value": weighted_mean(mean_value, batch["weight"])}

    def targets(self, networks: Networks, batch: Batch, hp: Hyperparameters) -> list[Tensor]:
        """What each agent's critic should say, `(B,)`: rewards and values of next actions."""
        state, draws = batch["next_state"], self._draws(batch)
        observations = self._observations(state)
        actions = self._acts(networks, self._targets, state, draws)
        discount_t = hp["discount"] * (1 - batch["terminated"])
        found = []
        for agent, reward in enumerate(batch["agent_rewards"].unbind(-1)):
            name = _name("critic_target", agent)
            v_t = self._value(networks, name, agent, observations, actions)
            found.append(td_target(reward, discount_t, v_t))
        return found

    def actor_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the sum of each critic's value of its agent's own action, among those taken.

        Its gradient is that of equation 5 of the paper.
        """
        state, taken = batch["state"], self._taken(batch)
        observations = self._observations(state)
        own = self._acts(networks, self._actors, state, self._draws(batch))
        values = [
            self._value(
                networks,
                name,
                agent,
                observations,
                [*taken[:agent], own[agent], *taken[agent + 1 :]],
            )
            for agent, name in enumerate(self._critics)
        ]
        return -weighted_mean(torch.stack(values).sum(0), batch["weight"]), {}

    def _value(
        self,
        networks: Networks,
        name: str,
        agent: int,
        observations: list[Tensor],
        actions: list[Tensor],
    ) -> Tensor:
        """What an agent's critic says of what it sees, `(B,)`."""
        state = torch.cat([observations[i] for i in self.seen[agent]], -1)
        action = torch.cat([actions[i] for i in self.seen[agent]], -1)
        return self.value(getattr(networks, name), state, action)

    def _acts(
        self, networks: Networks, names: list[list[str]], state: Tensor, draws: Tensor | None
    ) -> list[Tensor]:
        """What each agent's policy returns, `(B, A_i)`.

        Args:
            networks: one callable for each role.
            names: roles of each agent's policies.
            state: `(B, D)`.
            draws: numbers in [0, 1] that say which of several policies it is, `(B, N)`.
        """
        acts = []
        for agent, own in enumerate(self._observations(state)):
            each = [getattr(networks, name)(state=own) for name in names[agent]]
            if draws is None or len(each) == 1:
                acts.append(each[0])
            else:
                acts.append(_chosen(torch.stack(each, -1), draws[..., agent]))
        return acts

    def _draws(self, batch: Batch) -> Tensor | None:
        """Who learns from each transition, as numbers in [0, 1], `(B, N)`."""
        return torch.special.ndtr(batch["noise"]) if self.is_ensemble else None

    def _observations(self, state: Tensor) -> list[Tensor]:
        """Each agent's own part of states `(B, D)`."""
        sizes = [agent.observation_size for agent in self.spec.agents]
        return list(torch.split(state, sizes, -1))

    def _taken(self, batch: Batch) -> list[Tensor]:
        """What each agent did, `(B, A_i)`, discrete actions as probabilities, one of them 1."""
        action = batch["action"]
        if not self.is_discrete:
            return list(torch.split(action, self.widths, -1))
        return [
            (own.unsqueeze(-1) == torch.arange(width, device=own.device)).float()
            for own, width in zip(action.unbind(-1), self.widths, strict=True)
        ]


def _chosen(acts: Tensor, draw: Tensor) -> Tensor:
    """Of what K policies return, `(B, A, K)`, that of the one drawn by `draw` `(B,)` in [0, 1]."""
    num = acts.shape[-1]
    chosen = (draw * num).long().clamp(max=num - 1).unsqueeze(-1)
    is_chosen = (chosen == torch.arange(num, device=acts.device)).to(acts.dtype)
    return (acts * is_chosen.unsqueeze(-2)).sum(-1)


def _own(given: list[Any], agent: int) -> Any:
    """What is an agent's own, or for every agent."""
    return given[agent] if len(given) > 1 else given[0]


def _name(kind: str, agent: int, policy: int = 0) -> str:
    """Of a role: `critic_2`; `actor_2_1` for the second policy of the third agent."""
    return f"{kind}_{agent}_{policy}" if policy else f"{kind}_{agent}"


def _role(name: str, kind: str, agent: int) -> Role:
    online = kind.removesuffix("_target")
    follows = None if kind == online else online + name.removeprefix(kind)
    return Role(name, online.capitalize(), follows)
