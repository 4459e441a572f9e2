"""What a frame is: the declaration of one algorithm, from which everything else is derived.

A frame holds no state and knows no lanes, no environment and no trainer. It says which networks
play which role, how an agent acts, and which losses train which roles; the engine owns parameters,
memory and random streams.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from sweeprl.config import (
    ActionSpec,
    Continuous,
    Discrete,
    EnvSpec,
    FrameConfig,
    MultiDiscrete,
    ReplayConfig,
    SearchConfig,
    TransitionConfig,
    traced_of,
)
from sweeprl.errors import ConfigError, UnsupportedSpaceError, did_you_mean
from sweeprl.networks import Resolver

__all__ = [
    "Batch",
    "Frame",
    "Loss",
    "ReplayFrame",
    "Role",
    "RolloutFrame",
    "SearchFrame",
    "actor_fits",
]

Batch = Mapping[str, Tensor]
"""The transitions of one gradient step, by field."""

Hyperparameters = Mapping[str, Tensor]
"""The traced settings of one lane, by dotted path, each a scalar tensor."""

SettingT = TypeVar("SettingT")

Networks = Any
"""A namespace with one callable for each role."""

LossFunction = Callable[[Networks, Batch, Hyperparameters], tuple[Tensor, dict[str, Tensor]]]

StepFunction = Callable[
    [Callable[[Tensor], Networks], Tensor, Tensor, Batch, Hyperparameters],
    tuple[Tensor, dict[str, Tensor]],
]


@dataclass(frozen=True)
class Role:
    """A part that one network plays.

    Args:
        name: how losses call it (`networks.critic`).
        default: what a generated config calls the network that plays it.
        follows: the role whose parameters it trails, for target networks.
    """

    name: str
    default: str
    follows: str | None = None


@dataclass(frozen=True)
class Loss:
    """A scalar to be minimised, and what it trains.

    Args:
        name: what its curve is called.
        trains: the roles whose parameters its gradient moves, with one optimizer, and for each the
            traced setting that is its learning rate.
        function: `(networks, batch, hyperparameters)` to the loss, a scalar, and further scalars
            to log. It sees one lane. Of a frame that replays by priority, one loss also returns,
            as `priority` `(B,)`, the transitions' new priorities.
        is_noisy: whether `batch["noise"]` is to hold standard normal numbers, `(B, loss_noise)`.
        passes: for on-policy frames, how many times it goes through the rollout.
        is_whole: for on-policy frames, whether its batch is the whole rollout, instead of
            minibatches of `batch_size`.
        step: finds the step itself, instead of an optimizer: `(at, parameters, gradient, batch,
            hyperparameters)` to what is to be added to the parameters `(P,)` of the roles in
            `trains`, and further scalars to log. `at(parameters)` are the networks with other
            parameters in these roles, and `gradient` is that of `function`, both `(P,)`. Learning
            rates and `gradient_max` have no part in it.
        is_estimated: whether `function` returns its gradient itself, as `gradient` `(P,)` among
            what it logs, and is not to be differentiated.
        every: for off-policy frames, the masked setting that says once in how many updates it is
            descended; None is in each.
        section: what stands before the settings that train it, for those of a nested config:
            "PPO_config.". Of that config are its optimizer, `lr_scheduler`, `gradient_max`,
            learning rates and `batch_size`.
    """

    name: str
    trains: Mapping[str, str]
    function: LossFunction
    is_noisy: bool = False
    passes: int = 1
    is_whole: bool = False
    step: StepFunction | None = None
    is_estimated: bool = False
    every: str | None = None
    section: str = ""

    def rates_in(self, settings: Mapping[str, SettingT]) -> list[SettingT]:
        """Returns its learning rates, one for each role, from settings by dotted path."""
        return [settings[f"{self.section}{name}"] for name in self.trains.values()]

    def gradient_max_in(self, settings: Mapping[str, SettingT]) -> SettingT:
        """Returns its largest gradient norm from settings by dotted path."""
        return settings[f"{self.section}gradient_max"]


class Frame(ABC):
    """One algorithm. Build it with a config and the facts of an environment.

    Args:
        config: an instance of `Config`.
        spec: the environment.
        resolver: finds the classes that the config names.

    Raises:
        UnsupportedSpaceError: the frame cannot act in that space.
        ConfigError: a network, optimizer, scheduler or criterion cannot be found or built.
    """

    Config: ClassVar[type[FrameConfig]]
    """Its settings; how `models` belong to `roles`, `settings_of` says."""
    roles: tuple[Role, ...]
    """Who plays, each role after the one that it follows; a frame may make them out for its
    environment when it is built."""
    actions: ClassVar[tuple[type[ActionSpec], ...]]
    """The kinds of action space it serves."""
    needs_agents: ClassVar[bool] = False
    """Whether it learns for each of several agents, whom the environment has to tell apart."""

    def __init__(
        self, config: FrameConfig, spec: EnvSpec, resolver: Resolver | None = None
    ) -> None:
        self.config = config
        self.spec = spec
        self.resolver = resolver or Resolver()
        self._check_action_space()
        self._check_agents()

    def with_config(self, config: FrameConfig) -> Self:
        """Returns the algorithm with other settings, for the same environment."""
        return type(self)(config, self.spec, self.resolver)

    @property
    @abstractmethod
    def losses(self) -> tuple[Loss, ...]:
        """The losses of one update, in order."""

    @abstractmethod
    def act(
        self,
        networks: Networks,
        state: Tensor,
        noise: Tensor,
        hp: Hyperparameters,
        step: Tensor,
        *,
        greedy: bool = False,
    ) -> Tensor:
        """Chooses actions.

        Args:
            networks: one callable for each role.
            state: observations of one lane's environments, `(E, D)`.
            noise: standard normal numbers, `(E, action_noise)`, and after them what `carry`
                returned, `(E, action_memory)`.
            hp: the lane's traced settings.
            step: environment steps that the lane has made, a scalar.
            greedy: act as well as is known, without exploring.

        Returns:
            `(E,)` int64 for one discrete choice, `(E, K)` int64 for several, `(E, A)` float in
            [-1, 1] for reals.
        """

    @property
    def normalizes_observation(self) -> bool:
        """Whether observations are shifted and scaled by their running mean and deviation."""
        config = self.config.experience
        return isinstance(config, TransitionConfig) and config.normalize_observation

    @property
    def normalizes_reward(self) -> bool:
        """Whether rewards are scaled by the running deviation of the discounted return."""
        config = self.config.experience
        return isinstance(config, TransitionConfig) and config.normalize_reward

    @property
    def action_noise(self) -> int:
        """How many normal numbers `act` needs for each environment."""
        return self.spec.action.size

    @property
    def action_memory(self) -> int:
        """How many numbers acting carries from step to step in each environment."""
        return 0

    def carry(self, memory: Tensor, noise: Tensor, act_kwargs: Mapping[str, Any]) -> Tensor:
        """Moves on, before acting, what acting carries from step to step.

        Args:
            memory: what it was after the step before, 0 where an episode begins, `(...,
                action_memory)`.
            noise: standard normal numbers, `(..., action_noise)`.
            act_kwargs: keyword arguments of `act`.

        Returns:
            `(..., action_memory)`
        """
        return memory

    @property
    def loss_noise(self) -> int:
        """How many normal numbers a noisy loss needs for each transition."""
        return self.spec.action.size

    def network_spec(self, role: Role) -> EnvSpec:
        """The environment as the network of `role` sees it, of which dimensions are filled in."""
        return self.spec

    def settings_of(self, role: Role) -> tuple[Any, list[Any], dict[str, Any]]:
        """Model, positional and keyword arguments of the network of `role`.

        By default `config.models` and its like have one element for each of `roles`.
        """
        config, number = self.config, self.roles.index(role)
        return config.models[number], config.model_args[number], config.model_kwargs[number]

    @abstractmethod
    def default_network(self, role: Role) -> type[nn.Module]:
        """The class that plays `role` where the config names the role's default."""

    def networks(self, is_checked: bool = True) -> dict[str, nn.Module]:
        """Builds the network of each role, from torch's global random generator.

        Args:
            is_checked: whether each is tried out; one agent of a cohort is enough.

        Raises:
            ConfigError: a class cannot be found or built, or an output does not fit.
        """
        built = {}
        for role in self.roles:
            default = (role.default, self.default_network(role))
            built[role.name] = self.resolver.network(
                *self.settings_of(role), self.network_spec(role), default
            )
            if role.follows is not None:
                self._copy(role, built)
        built.update(self.own_networks())
        if is_checked:
            self._dry_run(built)
        return built

    def own_networks(self) -> dict[str, nn.Module]:
        """Parameters of the algorithm's own, beside those of the config's models, by role."""
        return {}

    def hyperparameters(self) -> dict[str, float]:
        """The traced settings as numbers, by dotted path."""
        values = traced_of(self.config).items()
        return {name: math.nan if value is None else float(value) for name, value in values}

    def check_act_kwargs(self, act_kwargs: Mapping[str, Any]) -> None:
        """Refuses keyword arguments that `act` does not take.

        Raises:
            ConfigError: naming what it takes.
        """
        parameters = inspect.signature(self.act).parameters.values()
        known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        for key in act_kwargs:
            if key not in known:
                raise ConfigError(
                    f"act_kwargs.{key}: {type(self).__name__} has no such option."
                    f"{did_you_mean(key, known)} It has: {', '.join(known)}."
                )

    def _check_action_space(self) -> None:
        if not isinstance(self.spec.action, self.actions):
            served = " or ".join(_ACTION_WORDS[kind] for kind in self.actions)
            raise UnsupportedSpaceError(
                f"{type(self).__name__} needs {served} actions, but {self.spec.name} has "
                f"{_ACTION_WORDS[type(self.spec.action)]} ones ({self.spec.action}). Choose "
                "another frame or environment."
            )

    def _check_agents(self) -> None:
        if self.needs_agents and not self.spec.agents:
            raise UnsupportedSpaceError(
                f"{type(self).__name__} needs an environment that tells several agents apart, but "
                f'{self.spec.name} has one. Take one of the extension "pettingzoo", or another '
                "frame."
            )

    def _copy(self, role: Role, built: dict[str, nn.Module]) -> None:
        try:
            built[role.name].load_state_dict(built[str(role.follows)].state_dict())
        except RuntimeError as error:
            raise ConfigError(
                f"The network of '{role.name}' must have the same parameters as that of "
                f"'{role.follows}', which it "
                f"follows, but: {error}. Make their models, model_args and model_kwargs equal."
            ) from error

    def _dry_run(self, built: dict[str, nn.Module]) -> None:
        """Plays each role once on zeros, so that a misfit is found before training."""
        networks = SimpleNamespace(**built)
        for role in self.roles:
            network, state = built[role.name], self.sample_states(role)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                try:
                    output = self.play(networks, role, state)
                except (RuntimeError, TypeError, ValueError) as error:
                    raise ConfigError(
                        f"Model {type(network).__name__} must play the role '{role.name}' on "
                        "states of shape "
                        f"{tuple(state.shape)}, but: {error}. {self.contract(role)}"
                    ) from error
            self._check_output(role, network, output)

    def _check_output(self, role: Role, network: nn.Module, output: Any) -> None:
        parts = output if isinstance(output, tuple) else (output,)
        shapes = tuple(tuple(part.shape) if isinstance(part, Tensor) else None for part in parts)
        if not self.fits(role, parts):
            raise ConfigError(
                f"Model {type(network).__name__} does not fit {self.spec.name} in the role "
                f"'{role.name}': for states {tuple(self.sample_states(role).shape)} it returned "
                f"{shapes}. {self.contract(role)}"
            )

    def sample_states(self, role: Role) -> Tensor:
        """Two states as the network of `role` sees them."""
        return torch.zeros(2, self.network_spec(role).observation_size)

    def play(self, networks: Networks, role: Role, state: Tensor) -> Any:
        """Calls the network of `role` as the losses do, on a small batch."""
        return getattr(networks, role.name)(state=state)

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether what the network of `role` returned for two states is what the losses need."""
        return isinstance(output[0], Tensor) and tuple(output[0].shape) == (2, 1)

    def contract(self, role: Role) -> str:
        """What the network of `role` has to take and return, in a sentence."""
        return "It must take `state` (B, D) and return (B, 1)."


_ACTION_WORDS: dict[Any, str] = {
    Discrete: "discrete",
    MultiDiscrete: "multi-discrete",
    Continuous: "continuous",
}


class ReplayFrame(Frame):
    """An off-policy frame: it learns from transitions drawn from a replay buffer.

    They are drawn uniformly, or by priority where its config is a `PrioritizedConfig`. Then
    `batch["importance"]` `(B,)` are the importance weights, by which the losses multiply the errors
    of the transitions, and one of the losses returns new priorities, see `Loss`.
    """

    config: ReplayConfig
    follow_every: ClassVar[str | None] = None
    """The masked setting that says once in how many updates target networks follow by their
    `update_rate`; None is after each."""

    @property
    def steps_ahead(self) -> int | None:
        """How many steps in a row a transition becomes; None leaves it a single one.

        Then `batch["reward"]` is `(B, N)`, 0 beyond the last step, which is that at the end of the
        episode or of what is stored; `batch["num_steps"]` `(B,)` is how many there are, and
        `next_state` and `terminated` are those of the last one.
        """
        return None


class RolloutFrame(Frame):
    """An on-policy frame: it learns from a rollout of the current policy, then drops it.

    Its config, or a nested one that is its `experience`, is a `RolloutConfig`.
    """

    @property
    def demonstrations(self) -> Mapping[str, Tensor]:
        """`state` `(N, D)` and `action` `(N, A)` of an expert, both float32; empty without one.

        A pair of them is drawn for each step of a rollout, and stands beside it as `expert_state`
        and `expert_action`. States are as the environment gave them, actions as `act` returns them.

        Raises:
            ConfigError: they cannot be read.
        """
        return {}

    @abstractmethod
    def prepare(self, networks: Networks, rollout: Batch, hp: Hyperparameters) -> dict[str, Tensor]:
        """Computes what the losses need beside a rollout `(T, E, ...)`, advantages for example.

        Returns:
            Further fields, or those of the rollout anew, each `(T, E)`.
        """


class SearchFrame(Frame):
    """A frame that learns from the returns of whole episodes, each played with other parameters.

    The engine adds steps along random directions to the parameters that its one loss trains, and
    plays an episode with each, forwards and backwards. `act` sees networks that have been moved.
    Once all are played the loss is given `batch["noise"]` `(N, P)`, the directions, whose
    components are standard normal numbers, and `batch["reward"]` `(N, 2)`, the returns of going
    forwards and backwards; it returns its gradient.
    """

    config: SearchConfig

    @property
    def normalizes_observation(self) -> bool:
        """`normalize_state`."""
        return self.config.normalize_state


def actor_fits(spec: EnvSpec, output: tuple[Any, ...]) -> bool:
    """Whether an actor returned an action, a log-probability and an entropy for two states."""
    if len(output) < 3 or not all(isinstance(part, Tensor) for part in output[:3]):
        return False
    action, log_prob, entropy = output[:3]
    counts = (action.numel(), log_prob.numel(), entropy.numel())
    return counts == (2 * spec.action.size, 2, 2)
