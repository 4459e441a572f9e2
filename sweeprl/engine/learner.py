"""The learner: parameters, optimizers, memory and random streams of L agents in lock-step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.config import Discrete, ReplayConfig, RolloutConfig, Transitions
from sweeprl.engine.cohort import (
    groups_of_roles,
    scheduler_of,
    seeded_networks,
    stack_hyperparameters,
)
from sweeprl.engine.lanes import Lanes, Stack
from sweeprl.engine.normalizer import ObservationNormalizer, RewardNormalizer
from sweeprl.engine.optimizer import LaneOptimizer
from sweeprl.engine.replay import FieldLayout, ReplayBuffer, as_action
from sweeprl.engine.snapshot import Snapshot, check_losses, check_transitions
from sweeprl.engine.streams import LaneStreams
from sweeprl.errors import ConfigError
from sweeprl.frames._base import Frame, Loss, RolloutFrame

__all__ = ["Learner"]

_BLOCK_NUMBERS = 2_000_000
"""Most numbers drawn from the replay buffer at once; many updates share one gather."""

_STATES = ("state", "next_state")


class Learner:
    """L agents that learn in lock-step; L may be 1.

    Args:
        frames: the algorithm of each lane; their configs differ in traced settings only.
        seeds: one for each lane.
        num_envs: environments of each lane.
        device: where the agents learn.

    Raises:
        ConfigError: a network, optimizer or scheduler cannot be built, or the lanes differ in
            structure.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        seeds: Sequence[int],
        num_envs: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.frame = frames[0]
        self.num_lanes, self.num_envs = len(frames), num_envs
        self.device = torch.device(device)
        self.env_steps = 0
        self.updates = 0
        self._owed = 0.0
        self._is_judged = False
        self._streams = LaneStreams(seeds, self.device)
        self._judged_streams = LaneStreams([seed + 2**32 for seed in seeds], self.device)
        hyperparameters = stack_hyperparameters(frames, self.device)
        networks = [seeded_networks(frame, seed) for frame, seed in zip(frames, seeds, strict=True)]
        online, self._followers = groups_of_roles(self.frame)
        self._lanes = Lanes(
            networks, [*online, *self._followers.values()], hyperparameters, self.device
        )
        self._optimizers = [
            self._optimizer(index, loss, hyperparameters)
            for index, loss in enumerate(self.frame.losses)
        ]
        self._snapshot = Snapshot(self._lanes.stacks, self._optimizers)
        self._make_memory(hyperparameters)

    def _optimizer(
        self, index: int, loss: Loss, hyperparameters: Mapping[str, Tensor]
    ) -> LaneOptimizer:
        config, resolver = self.frame.config, self.frame.resolver
        return LaneOptimizer(
            self._lanes.stacks[index],
            resolver.optimizer(config.optimizer),
            config.optimizer_kwargs,
            [hyperparameters[name] for name in loss.trains.values()],
            hyperparameters["gradient_max"],
            scheduler_of(self.frame, index),
        )

    def _make_memory(self, hyperparameters: Mapping[str, Tensor]) -> None:
        spec, config = self.frame.spec, self.frame.config
        self._layout = FieldLayout(
            {
                "state": spec.observation_size,
                "action": spec.action.size,
                "reward": 1,
                "next_state": spec.observation_size,
                "terminated": 1,
                "weight": 1,
            }
        )
        self._replay: ReplayBuffer | None = None
        if isinstance(config, ReplayConfig):
            width = sum(self._layout.widths.values())
            self._replay = _replay_buffer(self.num_lanes, config, width)
        self._observation: ObservationNormalizer | None = None
        if config.normalize_observation:
            self._observation = ObservationNormalizer(
                self.num_lanes, spec.observation_size, self.device
            )
        self._reward: RewardNormalizer | None = None
        if config.normalize_reward:
            self._reward = RewardNormalizer(
                self.num_lanes, self.num_envs, hyperparameters["discount"]
            )

    # ---- acting

    @property
    def collect_steps(self) -> int | None:
        """Steps of each environment between two rounds of updates; None is one whole episode."""
        config = self.frame.config
        if isinstance(config, RolloutConfig):
            return config.rollout_steps
        assert isinstance(config, ReplayConfig)
        is_alone = self.num_lanes * self.num_envs == 1
        return config.collect_steps or (None if is_alone else 64)

    @torch.no_grad()
    def act(
        self,
        states: NDArray[np.float32],
        ahead: int = 0,
        is_judged: bool = False,
        **act_kwargs: Any,
    ) -> NDArray[Any]:
        """Chooses an action for each environment.

        Args:
            states: observations, `(N, D)`, lane after lane; N may differ from training when acting
                greedily.
            ahead: steps that each environment has made since the last `store`.
            is_judged: whether this is an evaluation; it has random streams of its own.
            **act_kwargs: keyword arguments of the frame's `act`.

        Returns:
            `(N,)` int64 for one discrete choice, `(N, K)` int64 for several, `(N, A)` float32 for
            reals.
        """
        frame, lanes = self.frame, self._lanes
        if is_judged != self._is_judged:
            self._is_judged = is_judged
            lanes.set_training(not is_judged)
        state = torch.from_numpy(states).view(self.num_lanes, -1, states.shape[-1]).to(self.device)
        if self._observation is not None:
            state = self._observation(state)
        noise = self._noise(state.shape[1], is_judged, act_kwargs)
        step = torch.full(
            (self.num_lanes,), float(self.env_steps + ahead * self.num_envs), device=self.device
        )
        action: Tensor = lanes.apply(
            lambda networks, hp, *args: frame.act(
                networks, args[0], args[1], hp, args[2], **act_kwargs
            ),
            lanes.enter(state),
            lanes.enter(noise),
            lanes.enter(step),
        )
        shape = (len(states),) if isinstance(frame.spec.action, Discrete) else (len(states), -1)
        return action.reshape(shape).cpu().numpy()

    def _noise(self, num_envs: int, is_judged: bool, act_kwargs: Mapping[str, Any]) -> Tensor:
        size = self.frame.action_noise
        if act_kwargs == {"greedy": True}:
            return torch.zeros(self.num_lanes, num_envs, size, device=self.device)
        streams = self._judged_streams if is_judged else self._streams
        return streams.normal(num_envs, size)

    # ---- storing

    def store(self, transitions: Transitions) -> None:
        """Takes in a chunk of experience.

        Raises:
            Diverged: a reward or an observation is not finite; nothing is stored.
        """
        check_transitions(transitions)
        fields = {key: self._by_lane(np.asarray(value)) for key, value in transitions.items()}
        if self._reward is not None:
            over = torch.maximum(fields["terminated"], fields["truncated"])
            self._reward.update(fields["reward"].transpose(0, 1), over.transpose(0, 1))
        if self._replay is not None:
            flat = {key: value.flatten(1, 2) for key, value in fields.items()}
            self._replay.store(self._layout.pack(flat))
        else:
            self._rollout = self._normal(self._to_device(fields))
        if self._observation is not None:
            self._observation.update(fields["state"].flatten(1, 2))
        steps = int(transitions["weight"].sum()) // self.num_lanes
        self.env_steps += steps
        self._owe(steps)

    def _owe(self, steps: int) -> None:
        """Counts the updates that `steps` environment steps entitle to."""
        config = self.frame.config
        if isinstance(config, ReplayConfig) and self.env_steps > config.warmup_steps:
            after_warmup = min(steps, self.env_steps - config.warmup_steps)
            self._owed += after_warmup * config.updates_per_step

    def _by_lane(self, values: NDArray[np.float32]) -> Tensor:
        """`(T, L * E, ...)` to `(L, T, E, ...)`."""
        tensor = torch.from_numpy(values)
        steps, rest = tensor.shape[0], tensor.shape[2:]
        return tensor.view(steps, self.num_lanes, self.num_envs, *rest).transpose(0, 1)

    def _to_device(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = {key: value.to(self.device) for key, value in fields.items()}
        moved["action"] = as_action(moved["action"], self.frame.spec.action)
        return moved

    def _normal(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        if self._observation is not None:
            fields |= {key: self._observation(fields[key]) for key in _STATES}
        if self._reward is not None:
            fields["reward"] = self._reward(fields["reward"])
        return fields

    # ---- updating

    def update(self) -> dict[str, Tensor]:
        """Runs one round of updates: all that the stored steps entitle to.

        Returns:
            Mean of each loss and of what it logs over the round, `(L,)`; empty if there was nothing
            to do.

        Raises:
            Diverged: a loss or a parameter is not finite; the learner is back in a state in which
                all were, a snapshot ago.
        """
        with self._snapshot.guard(self.updates):
            logs = self._round()
        if logs:
            for optimizer in self._optimizers:
                optimizer.step_schedule()
        return logs

    def _round(self) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}
        count = 0
        for losses in self._rounds():
            count += 1
            for name, value in losses.items():
                sums[name] = sums[name] + value if name in sums else value
        logs = {name: self._lanes.leave(total) / count for name, total in sums.items()}
        check_losses(logs)
        return logs

    def _rounds(self) -> Iterator[dict[str, Tensor]]:
        """Makes the updates of a round one by one."""
        if self._replay is not None:
            yield from self._replay_updates()
        else:
            yield from self._rollout_updates()

    def _replay_updates(self) -> Iterator[dict[str, Tensor]]:
        assert self._replay is not None
        num_updates, batch_size = int(self._owed), self.frame.config.batch_size
        self._owed -= num_updates
        per_block = max(1, _BLOCK_NUMBERS // (batch_size * sum(self._layout.widths.values())))
        while num_updates > 0:
            count = min(num_updates, per_block)
            num_updates -= count
            quantiles = self._streams.uniform(count * batch_size)
            rows = self._replay.sample(quantiles).view(self.num_lanes, count, batch_size, -1)
            for batch in self._batches(self._unpack(rows)):
                yield self._descend(self.frame.losses, batch)
                self._follow()

    def _unpack(self, rows: Tensor) -> dict[str, Tensor]:
        scalars = frozenset({"reward", "terminated", "weight"})
        return self._normal(self._to_device(self._layout.unpack(rows, scalars)))

    def _batches(self, fields: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Splits fields `(L, U, B, ...)` into U batches, ready for `Lanes.apply`."""
        dim = 0 if self.num_lanes == 1 else 1
        columns = [self._lanes.enter(value).unbind(dim) for value in fields.values()]
        for values in zip(*columns, strict=True):
            yield dict(zip(fields, values, strict=True))

    def _rollout_updates(self) -> Iterator[dict[str, Tensor]]:
        fields = self._prepared_rollout()
        batch_size = self.frame.config.batch_size
        rows = fields["reward"].shape[1]
        losses = self.frame.losses
        for index in range(max(loss.passes for loss in losses)):
            order = self._streams.uniform(rows).argsort(1)
            shuffled = {key: _take(value, order) for key, value in fields.items()}
            active = [loss for loss in losses if index < loss.passes]
            columns = [torch.split(value, batch_size, 1) for value in shuffled.values()]
            for values in zip(*columns, strict=True):
                batch = {k: self._lanes.enter(v) for k, v in zip(fields, values, strict=True)}
                yield self._descend(active, batch)

    @torch.no_grad()
    def _prepared_rollout(self) -> dict[str, Tensor]:
        frame, lanes = self.frame, self._lanes
        assert isinstance(frame, RolloutFrame)
        entered = {key: lanes.enter(value) for key, value in self._rollout.items()}
        extra = lanes.apply(
            lambda networks, hp, rollout: frame.prepare(networks, rollout, hp), entered
        )
        fields = self._rollout | {key: lanes.leave(value) for key, value in extra.items()}
        del fields["next_state"]
        return {key: value.flatten(1, 2) for key, value in fields.items()}

    def _descend(self, losses: Sequence[Loss], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Takes one gradient step on each loss in turn; returns losses and logs."""
        record: dict[str, Tensor] = {}
        for loss, stack, optimizer in zip(
            self.frame.losses, self._lanes.stacks, self._optimizers, strict=False
        ):
            if loss not in losses:
                continue
            if loss.is_noisy:
                shape = (*batch["reward"].shape[-1:], self.frame.spec.action.size)
                batch["noise"] = self._lanes.enter(self._streams.normal(*shape))
            value, logs = self._lanes.apply(_rule(loss), batch)
            stack.differentiate(value.sum())
            optimizer.step()
            record[loss.name] = value.detach()
            record.update(logs)
        self.updates += 1
        return record

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves target networks after their online networks."""
        config = self.frame.config
        assert isinstance(config, ReplayConfig)
        if config.update_steps is not None and self.updates % config.update_steps:
            return
        for online, target in self._pairs():
            if config.update_steps is not None:
                target.flat.copy_(online.flat)
            else:
                rate = self._lanes.leave(self._lanes.hyperparameters["update_rate"])
                target.flat.lerp_(online.flat, rate.unsqueeze(1))

    def _pairs(self) -> Iterator[tuple[Stack, Stack]]:
        targets = self._lanes.stacks[len(self.frame.losses) :]
        for index, target in zip(self._followers, targets, strict=True):
            yield self._lanes.stacks[index], target

    # ---- state

    def weights(self) -> dict[str, Any]:
        """Returns what acting needs.

        Parameters `(L, ...)` by role and name, and the moments of the normalizer.
        """
        networks = {
            role: {name: self._lanes.leave(leaf.detach()).clone() for name, leaf in named.items()}
            for role, named in self._lanes.parameters.items()
        }
        observation = self._observation.moments.state_dict() if self._observation else None
        return {"networks": networks, "observation": observation}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Takes over what `weights` returned.

        Raises:
            ConfigError: the networks have other parameters.
        """
        for role, named in self._lanes.parameters.items():
            saved = weights["networks"].get(role, {})
            for name, leaf in named.items():
                if name not in saved or self._lanes.leave(leaf).shape != saved[name].shape:
                    raise ConfigError(
                        f"The checkpoint must hold '{name}' of network '{role}' in shape "
                        f"{tuple(leaf.shape)}, but "
                        f"does not. Has the model changed since it was trained?"
                    )
                leaf.copy_(self._lanes.enter(saved[name]))
        if self._observation is not None:
            self._observation.load_state_dict(weights["observation"])

    def state_dict(self) -> dict[str, Any]:
        """Returns all that training on needs."""
        return {
            "weights": self.weights(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "streams": self._streams.state_dict(),
            "judged_streams": self._judged_streams.state_dict(),
            "global_rng": torch.get_rng_state(),
            "counts": (self.env_steps, self.updates, self._owed),
            "replay": self._replay.state_dict() if self._replay else None,
            "reward": self._reward.state_dict() if self._reward else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.load_weights(state["weights"])
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._streams.load_state_dict(state["streams"])
        self._judged_streams.load_state_dict(state["judged_streams"])
        torch.set_rng_state(state["global_rng"])
        self.env_steps, self.updates, self._owed = state["counts"]
        if self._replay is not None:
            self._replay.load_state_dict(state["replay"])
        if self._reward is not None:
            self._reward.load_state_dict(state["reward"])


def _replay_buffer(num_lanes: int, config: ReplayConfig, width: int) -> ReplayBuffer:
    size = config.replay_size
    try:
        return ReplayBuffer(num_lanes, size, width, torch.device(config.replay_device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"frame_config.replay_size={size} transitions of {width} numbers must fit on "
            f"replay_device='{config.replay_device}', but: {reason}. "
            'Lower replay_size, or set replay_device to "cpu".'
        ) from error


def _rule(loss: Loss) -> Any:
    return lambda networks, hp, batch: loss.function(networks, batch, hp)


def _take(values: Tensor, order: Tensor) -> Tensor:
    """Reorders rows `(L, R, ...)` of each lane by `order` `(L, R)`."""
    if len(values) == 1:
        return values[0].index_select(0, order[0]).unsqueeze(0)
    index = order.view(*order.shape, *[1] * (values.dim() - 2)).expand_as(values)
    return values.gather(1, index)
