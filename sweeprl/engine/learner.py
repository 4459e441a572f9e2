"""The learner: parameters, optimizers, memory and random streams of L agents in lock-step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.config import (
    PrioritizedConfig,
    ReplayConfig,
    RolloutConfig,
    Transitions,
    masked,
    parts_of,
)
from sweeprl.engine.acting import Acting
from sweeprl.engine.building import (
    check_same_structure,
    groups_of_roles,
    is_free_of_own_code,
    scheduler_of,
    seeded_networks,
    stack_hyperparameters,
)
from sweeprl.engine.judge import AgentRows, read_rows
from sweeprl.engine.lanes import Lanes, Stack
from sweeprl.engine.means import RoundMeans
from sweeprl.engine.multi_step import joined
from sweeprl.engine.normalizer import ObservationNormalizer, RewardNormalizer
from sweeprl.engine.optimizer import LaneOptimizer
from sweeprl.engine.parts import Division, Part
from sweeprl.engine.priorities import Priorities
from sweeprl.engine.replay import FieldLayout, ReplayBuffer, as_action
from sweeprl.engine.search import Search
from sweeprl.engine.snapshot import (
    SNAPSHOT_UPDATES,
    Faults,
    Snapshot,
    faults_of_losses,
    faults_of_transitions,
)
from sweeprl.engine.streams import LaneStreams
from sweeprl.errors import ConfigError
from sweeprl.frames._base import Frame, Loss, ReplayFrame, RolloutFrame, SearchFrame
from sweeprl.functional import Captured

__all__ = ["LANES_COLLECT_STEPS", "Learner"]

_BLOCK_NUMBERS = {"cpu": 2_000_000, "cuda": 100_000_000}
"""Most numbers drawn from the replay buffer at once; many updates share one gather."""

_MOST_GRAPHS = 16
"""Updates that are kept as graphs, each of which keeps memory of its own."""

_STATES = ("state", "next_state")
_REWARDS = ("reward", "agent_rewards")
_SCALARS = frozenset({"reward", "terminated", "weight"})

_Turn = tuple[int, bool]
"""A loss that an update descends, by number, and whether all lanes have descended it equally often
before."""

_Descent = tuple[int, dict[str, Tensor], Tensor | None]
"""Number of a loss, its value and what it logs, by name, and which lanes descended it, `(L, 1)`."""

LANES_COLLECT_STEPS = 64
"""Steps of each environment between two rounds of updates, where no episode marks the rounds."""


class Learner(Acting):
    """L agents that learn in lock-step; L may be 1.

    Each lane may be at another age: it has its own counts, and what it does not take part in is
    masked.

    Args:
        frames: the algorithm of each lane; their configs differ in traced and masked settings only.
        seeds: one for each lane.
        num_envs: environments of each lane.
        device: where the agents learn.
        replay_device: where transitions are kept; by default where the config says.
        replay_size: most transitions kept for each lane; by default what the config says.
        is_tolerant: note lanes that diverge in `faults` instead of raising.

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
        *,
        replay_device: torch.device | str | None = None,
        replay_size: int | None = None,
        is_tolerant: bool = False,
    ) -> None:
        self.frames = list(frames)
        self.frame = frames[0]
        self._losses = self.frame.losses
        self.num_envs = num_envs
        self.device = torch.device(device)
        self.faults: Faults = {}
        """Why lanes cannot go on, by lane, where the learner is tolerant."""
        self._is_tolerant = is_tolerant
        self._streams = LaneStreams(seeds, self.device)
        hyperparameters = stack_hyperparameters(frames, self.device)
        networks = [
            seeded_networks(frame, seed, is_checked=lane == 0)
            for lane, (frame, seed) in enumerate(zip(frames, seeds, strict=True))
        ]
        online, self._followers = groups_of_roles(self.frame)
        self._lanes = Lanes(
            networks,
            [*online, *self._followers.values()],
            hyperparameters,
            self.device,
            is_recorded=is_free_of_own_code(self.frame, networks[0]),
        )
        self._optimizers = {
            index: self._optimizer(index, loss, hyperparameters)
            for index, loss in enumerate(self._losses)
            if loss.step is None
        }
        self._snapshot = Snapshot(self._lanes.stacks, list(self._optimizers.values()))
        self._updates: dict[Any, Captured] = {}
        trained = self._lanes.stacks[: len(self._losses)]
        self._divisions = [Division(stack.flat.shape[1], self.device) for stack in trained]
        self._count()
        self._make_memory(hyperparameters, replay_device, replay_size)

    def _optimizer(
        self, index: int, loss: Loss, hyperparameters: Mapping[str, Tensor]
    ) -> LaneOptimizer:
        config, resolver = parts_of(self.frame.config)[loss.section], self.frame.resolver
        return LaneOptimizer(
            self._lanes.stacks[index],
            resolver.optimizer(config.optimizer),
            config.optimizer_kwargs,
            loss.rates_in(hyperparameters),
            loss.gradient_max_in(hyperparameters),
            scheduler_of(self.frame, index),
        )

    def _count(self) -> None:
        """Sets up what is counted for each lane, and the counts that its config names."""
        num = len(self.frames)
        self.env_steps = np.zeros(num, np.int64)
        self.updates = np.zeros(num, np.int64)
        """Gradient steps that each lane has made, `(L,)`."""
        self._owed = np.zeros(num)
        config = type(self.frame.config)
        names = (*masked(config), "warmup_steps") if issubclass(config, ReplayConfig) else ()
        self._counts: dict[str, NDArray[Any]] = {
            name: np.array([getattr(frame.config, name) or 0 for frame in self.frames])
            for name in names
        }

    def _make_memory(
        self,
        hyperparameters: Mapping[str, Tensor],
        replay_device: torch.device | str | None,
        replay_size: int | None,
    ) -> None:
        spec, config, num = self.frame.spec, self.frame.config, len(self.frames)
        self._layout = FieldLayout.of(spec)
        self._memory = self._new_memory(self.num_envs) if self.frame.action_memory else None
        self._replay: ReplayBuffer | None = None
        if isinstance(config, ReplayConfig):
            self._replay = self._replay_buffer(
                config,
                min(replay_size or config.replay_size, config.replay_size),
                replay_device or config.replay_device,
            )
        self._observation: ObservationNormalizer | None = None
        if self.frame.normalizes_observation:
            self._observation = ObservationNormalizer(num, spec.observation_size, self.device)
        self._reward: RewardNormalizer | None = None
        if self.frame.normalizes_reward:
            self._reward = RewardNormalizer(self.num_envs, hyperparameters["discount"])
        if isinstance(self.frame, SearchFrame):
            self._search = Search(
                self._streams.seeds,
                self.num_envs,
                self.frame.config.rollout_num,
                self._lanes.stacks[0].flat.shape[1],
                self._lanes.settings,
                self.device,
            )

    def _replay_buffer(
        self, config: ReplayConfig, size: int, device: torch.device | str
    ) -> ReplayBuffer:
        num, width = self.num_lanes, self._layout.width
        try:
            device, priorities = torch.device(device), None
            if isinstance(config, PrioritizedConfig):
                priorities = Priorities(num, size, device, self._lanes.settings)
            return ReplayBuffer(num, size, width, device, priorities)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"frame_config.replay_size={size} transitions of {width} numbers must fit on "
                f"replay_device='{device}', but: {reason}. "
                'Lower replay_size, or set replay_device to "cpu".'
            ) from error

    # ---- lanes that come and go

    def place(self, lane: int, frame: Frame, seed: int) -> None:
        """Gives a lane to a fresh agent; the others do not notice.

        Raises:
            ConfigError: the agent differs in structure from the cohort.
        """
        check_same_structure(self.frame, frame)
        settings = frame.hyperparameters()
        self._lanes.place(lane, seeded_networks(frame, seed, is_checked=False), settings)
        self._set(lane, frame, settings, LaneOptimizer.place)
        self._streams.begin(lane, seed)
        self.env_steps[lane] = self.updates[lane] = self._owed[lane] = 0
        for memory in (self._replay, self._observation, self._reward, self._memory):
            if memory is not None:
                memory.reset(lane)
        if self._search is not None:
            self._search.begin(lane, seed)
        self.faults.pop(lane, None)
        self._snapshot.begin(lane)

    def adjust(self, lane: int, frame: Frame) -> None:
        """Gives a lane's agent other settings; what it has learned and remembers stays.

        Raises:
            ConfigError: they differ in structure from those of the cohort.
        """
        check_same_structure(self.frame, frame)
        settings = frame.hyperparameters()
        self._lanes.adjust(lane, settings)
        self._set(lane, frame, settings, LaneOptimizer.adjust)

    def _set(
        self,
        lane: int,
        frame: Frame,
        settings: Mapping[str, float],
        tell: Callable[[LaneOptimizer, int, Sequence[float], float], None],
    ) -> None:
        """Lets optimizers and counts know a lane's settings."""
        self.frames[lane] = frame
        clipped = self._which_clip()
        for index, optimizer in self._optimizers.items():
            loss = self._losses[index]
            tell(optimizer, lane, loss.rates_in(settings), loss.gradient_max_in(settings))
        for name, values in self._counts.items():
            values[lane] = getattr(frame.config, name) or 0
        if clipped != self._which_clip():
            self._updates.clear()  # a captured update does not clip, or does so for nothing

    def _which_clip(self) -> list[bool]:
        return [optimizer.clips for optimizer in self._optimizers.values()]

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only, in that order; see `engine.rows`."""
        self._lanes.keep(kept)
        for part in (
            *self._optimizers.values(),
            self._streams,
            self._replay,
            self._observation,
            self._reward,
            self._search,
            self._memory,
        ):
            if part is not None:
                part.keep(kept)
        self._memory_of_judged = None
        self.frames = [self.frames[lane] for lane in kept]
        self.env_steps, self.updates = self.env_steps[kept], self.updates[kept]
        self._owed = self._owed[kept]
        self._counts = {name: values[kept] for name, values in self._counts.items()}
        self.faults = {kept.index(k): fault for k, fault in self.faults.items() if k in kept}
        self._snapshot.expire()
        self._updates.clear()

    @property
    def collect_steps(self) -> int | None:
        """Steps of each environment between two rounds of updates; None is one whole episode."""
        config = self.frame.config.experience
        if isinstance(config, RolloutConfig):
            return config.rollout_steps
        if self._search is not None:
            return 1  # who plays what is decided anew where an episode ends
        assert isinstance(config, ReplayConfig)
        is_alone = self.num_lanes * self.num_envs == 1 and not self._is_tolerant
        return config.collect_steps or (None if is_alone else LANES_COLLECT_STEPS)

    # ---- storing

    def store(self, transitions: Transitions) -> None:
        """Takes in a chunk of experience.

        Raises:
            Diverged: a reward or an observation is not finite; nothing is stored, of that lane
                where the learner is tolerant.
        """
        self._fail(faults_of_transitions(transitions, self.num_lanes))
        weights = np.array(transitions["weight"]).reshape(-1, self.num_lanes, self.num_envs)
        weights[:, list(self.faults)] = 0.0
        fields = {key: self._by_lane(self._tensor(v)) for key, v in transitions.items()}
        self._kept = _steps_that_count(weights) * self.num_envs
        is_whole = (self._kept == weights[:, 0].size).all()
        kept = None if is_whole else torch.from_numpy(self._kept).unsqueeze(1)
        if self._reward is not None:
            over = torch.maximum(fields["terminated"], fields["truncated"])
            self._reward.update(fields["reward"].transpose(0, 1), over.transpose(0, 1), kept)
        if self._replay is not None:
            flat = {key: value.flatten(1, 2) for key, value in fields.items()}
            self._replay.store(self._layout.pack(flat), kept)
        elif self._search is not None:
            over = torch.maximum(fields["terminated"], fields["truncated"])
            self._search.store(fields["reward"], over, fields["weight"])
        else:
            self._rollout = self._normal(self._to_device(_cut(fields, kept)))
            self._rollout |= self._demonstrated()  # normalised by the moments that the rollout is
        if self._observation is not None:
            self._observation.update(fields["state"].flatten(1, 2), kept)
        self._owe(weights.sum((0, 2), dtype=np.int64))

    def _tensor(self, values: Any) -> Tensor:
        """Chunks from a GPU stay there; only their weights come from the CPU."""
        tensor = torch.as_tensor(values)
        return tensor if self._replay is None else tensor.to(self._replay.device)

    def _owe(self, steps: NDArray[np.int64]) -> None:
        """Counts new environment steps `(L,)` and the updates they entitle to."""
        self.env_steps += steps
        if self._replay is not None:
            after_warmup = np.maximum(self.env_steps - self._counts["warmup_steps"], 0)
            self._owed += np.minimum(steps, after_warmup) * self._counts["updates_per_step"]

    def _by_lane(self, values: Tensor) -> Tensor:
        """`(T, L * E, ...)` to `(L, T, E, ...)`."""
        steps, rest = values.shape[0], values.shape[2:]
        return values.view(steps, self.num_lanes, self.num_envs, *rest).transpose(0, 1)

    def _to_device(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        moved = {key: value.to(self.device) for key, value in fields.items()}
        moved["action"] = as_action(moved["action"], self.frame.spec.action)
        return moved

    def _normal(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        fields = self._observed(fields)
        if self._reward is not None:
            fields |= {key: self._reward(fields[key]) for key in _REWARDS if key in fields}
        return fields

    def _observed(self, fields: dict[str, Tensor]) -> dict[str, Tensor]:
        if self._observation is None:
            return fields
        return fields | {k: self._observation(fields[k]) for k in _STATES if k in fields}

    def _fail(self, faults: Faults) -> None:
        if faults and not self._is_tolerant:
            raise next(iter(faults.values()))
        self.faults.update(faults)

    # ---- updating

    def update(self) -> dict[str, Tensor]:
        """Runs one round of updates: all that the stored steps entitle to.

        Returns:
            Mean of each loss and of what it logs over the round, `(L,)`, nan for a lane that did
            not descend it; empty if there was nothing to do.

        Raises:
            Diverged: a loss or a parameter is not finite; the learner is back in a state in which
                all were, a snapshot ago.
        """
        before = self.updates.copy()
        self._fail(self._snapshot.renew(self.updates))
        means = RoundMeans(self._lanes)
        for number, record, active in self._rounds():
            means.add(number, record, active)
        self._go_back(faults_of_losses(means.means(where_none=0.0)))
        made = self.updates - before
        # A search does not see in its losses whether parameters are finite; its updates are few.
        age = int(made.max())
        self._snapshot.grow_old(age if self._search is None else age * SNAPSHOT_UPDATES)
        for optimizer in self._optimizers.values():
            optimizer.step_schedule(np.flatnonzero(made).tolist())
        return means.means()

    def _go_back(self, faults: Faults) -> None:
        for lane in faults:
            self._snapshot.go_back(lane, self.updates)
        self._fail(faults)

    def _rounds(self) -> Iterator[_Descent]:
        """Makes the updates of a round one by one; yields what each loss logs."""
        if self._replay is not None:
            yield from self._replay_updates()
        elif self._search is not None:
            yield from self._search_updates(self._search)
        else:
            yield from self._rollout_updates()

    def _replay_updates(self) -> Iterator[_Descent]:
        counts = self._owed.astype(np.int64)
        self._owed -= counts
        batch_size, done, total = int(self._counts["batch_size"].max()), 0, int(counts.max())
        numbers = batch_size * self._layout.width * self.num_lanes * (self._steps_ahead or 1)
        priorities, fewest = self._priorities, int(counts.min())
        in_block = _BLOCK_NUMBERS.get(self.device.type, 0) // numbers
        per_block = max(1, in_block) if priorities is None else 1  # each batch changes the next
        while done < total:
            block = min(total - done, per_block)
            batches = self._batches(np.clip(counts - done, 0, block), block, batch_size)
            for number, batch in enumerate(batches, done):
                active = None if number < fewest else counts > number
                mask = None if active is None else self._column(active)
                learned = self._learn(self._losses, batch, active, mask, follows=True)
                for loss, record, own in learned:
                    if priorities is not None and "priority" in record:
                        priorities.learn(self._lanes.leave(record["priority"]), own)
                    yield loss, {k: v for k, v in record.items() if k != "priority"}, own
            done += block

    @property
    def _priorities(self) -> Priorities | None:
        return None if self._replay is None else self._replay.priorities

    def _column(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device).unsqueeze(1)

    def _batches(
        self, counts: NDArray[np.int64], num: int, batch_size: int
    ) -> Iterator[dict[str, Tensor]]:
        """Draws `num` batches, ready for the losses; lane k uses up `counts[k]` of them."""
        sizes = self._counts["batch_size"]
        used, largest = self._column(counts).squeeze(1), (num, batch_size)
        rows_used = self._column(sizes).squeeze(1)
        quantiles = self._streams.batches("batch", used, rows_used, largest)
        assert self._replay is not None
        places = self._replay.draw(quantiles, self._column(sizes))
        fields = self._normal(self._to_device(self._transitions(self._replay, places)))
        if self._priorities is not None:
            importance = self._priorities.importance(self._column(self.env_steps).float())
            fields["importance"] = importance.unsqueeze(1).to(self.device)
        if (sizes != batch_size).any():
            places = torch.arange(batch_size, device=self.device)
            fields["weight"] = fields["weight"] * (places < rows_used.view(-1, 1, 1))
        size = self.frame.loss_noise
        for loss in self._losses:
            if loss.is_noisy:
                wide = self._streams.batches(
                    f"noise/{loss.name}", used, rows_used * size, (num, batch_size * size)
                )
                fields[f"noise/{loss.name}"] = wide.view(*quantiles.shape, size)
        dim = 0 if self.num_lanes == 1 else 1
        columns = [self._lanes.enter(value).unbind(dim) for value in fields.values()]
        for values in zip(*columns, strict=True):
            yield dict(zip(fields, values, strict=True))

    def _transitions(self, replay: ReplayBuffer, places: Tensor) -> dict[str, Tensor]:
        """Reads transitions of as many steps as the frame learns from."""
        steps = self._steps_ahead
        if steps is None:
            return self._layout.unpack(replay.rows(places), _SCALARS)
        rows, is_stored = replay.run(places, steps, self.num_envs)
        return joined(self._layout.unpack(rows, _SCALARS), is_stored)

    @property
    def _steps_ahead(self) -> int | None:
        return self.frame.steps_ahead if isinstance(self.frame, ReplayFrame) else None

    def _rollout_updates(self) -> Iterator[_Descent]:
        fields, sizes = self._prepared_rollout(), self._batch_sizes
        rows = fields["reward"].shape[1]
        for index in range(max(loss.passes for loss in self._losses)):
            active = [loss for loss in self._losses if index < loss.passes]
            whole = tuple(loss for loss in active if loss.is_whole)
            if whole:
                yield from self._batch_updates(whole, fields, rows)
            if len(whole) < len(active):
                in_order = fields
                if min(sizes.values()) < rows:
                    order = self._order(rows)
                    in_order = {key: _take(value, order) for key, value in fields.items()}
                for size in dict.fromkeys(sizes.values()):
                    own = [k for k in active if not k.is_whole and sizes[k.section] == size]
                    if own:
                        yield from self._batch_updates(own, in_order, size)

    @property
    def _batch_sizes(self) -> dict[str, int]:
        """Rows of a minibatch of a rollout, by the section of the losses that are given it."""
        parts = parts_of(self.frame.config).items()
        return {prefix: part.batch_size for prefix, part in parts}  # type: ignore[attr-defined]

    def _batch_updates(
        self, losses: Sequence[Loss], fields: Mapping[str, Tensor], batch_size: int
    ) -> Iterator[_Descent]:
        """Goes through the rows of a rollout, `(L, R, ...)`, batch by batch."""
        columns = [torch.split(value, batch_size, 1) for value in fields.values()]
        for number, values in enumerate(zip(*columns, strict=True)):
            takes_part = self._kept > number * batch_size
            if not takes_part.any():
                break
            batch = {k: self._lanes.enter(v) for k, v in zip(fields, values, strict=True)}
            some = None if takes_part.all() else takes_part
            mask = None if some is None else self._column(some)
            yield from self._learn(losses, batch, some, mask, follows=False)

    def _search_updates(self, search: Search) -> Iterator[_Descent]:
        """Makes an update in each lane whose episodes are all played, and lets it begin anew."""
        due = search.is_complete
        if not due.any():
            return
        batch = {key: self._lanes.enter(value) for key, value in search.batch().items()}
        some = None if due.all() else due
        mask = None if some is None else self._column(some)
        yield from self._learn(self._losses, batch, some, mask, follows=False)
        search.go_on(np.flatnonzero(due).tolist())

    def _order(self, rows: int) -> Tensor:
        """Draws a random order of the rollout's rows, `(L, rows)`, those beyond its cut last."""
        is_beyond = torch.arange(rows, device=self.device) >= self._column(self._kept)
        return self._quantiles("order", rows).masked_fill(is_beyond, 2.0).argsort(1)

    def _quantiles(self, purpose: str, rows: int) -> Tensor:
        """Draws a number in [0, 1) for each row of the rollout, `(L, rows)`, up to its cut."""
        kept = torch.from_numpy(self._kept).to(self.device)
        return self._streams.batches(purpose, torch.ones_like(kept), kept, (1, rows)).squeeze(1)

    def _demonstrated(self) -> dict[str, Tensor]:
        """Draws what an expert did for each step of the rollout, `(L, T, E, ...)`."""
        assert isinstance(self.frame, RolloutFrame)
        pairs, shape = self.frame.demonstrations, self._rollout["reward"].shape
        if not pairs:
            return {}
        num, device = len(pairs["state"]), pairs["state"].device
        quantiles = self._quantiles("demonstrations", shape[1] * shape[2]).to(device)
        places = (quantiles * num).long().clamp(max=num - 1).view(shape)
        drawn = self._to_device({key: value[places] for key, value in pairs.items()})
        return {f"expert_{key}": value for key, value in self._observed(drawn).items()}

    @torch.no_grad()
    def _prepared_rollout(self) -> dict[str, Tensor]:
        frame, lanes = self.frame, self._lanes
        assert isinstance(frame, RolloutFrame)
        entered = {key: lanes.enter(value) for key, value in self._rollout.items()}
        extra = lanes.apply(
            "prepare",
            lambda networks, hp, rollout: frame.prepare(networks, rollout, hp),
            entered,
        )
        fields = self._rollout | {key: lanes.leave(value) for key, value in extra.items()}
        del fields["next_state"]
        return {key: value.flatten(1, 2) for key, value in fields.items()}

    def _learn(
        self,
        losses: Sequence[Loss],
        batch: dict[str, Tensor],
        active: NDArray[np.bool_] | None,
        mask: Tensor | None,
        follows: bool,
    ) -> list[_Descent]:
        """Makes one update, on a GPU as one graph.

        Args:
            losses: to descend.
            batch: what they are given.
            active: which lanes take part, `(L,)`; None is all.
            mask: the same on the learner's device, `(L, 1)`.
            follows: whether target networks follow.
        """
        turns, masks, parts = self._turns(losses, active, mask)
        rate = self._follow_rate(active) if follows else None
        if not self._is_captured():
            records = self._descend(turns, batch, masks, rate, parts)
        else:
            shape, are_all = tuple(batch["reward"].shape), tuple(own is None for own in masks)
            sizes = tuple(tuple((len(p.lanes), p.width) for p in own or ()) for own in parts)
            key = (turns, shape, are_all, rate is None, sizes)
            if key not in self._updates:
                if len(self._updates) == _MOST_GRAPHS:
                    self._updates.pop(next(iter(self._updates)))
                self._updates[key] = Captured(
                    lambda *args: self._descend(turns, *args), self.device
                )
            records = self._updates[key](batch, masks, rate, parts)
        together = zip(turns, records, masks, strict=True)
        return [(number, record, own) for (number, _), record, own in together]

    def _is_captured(self) -> bool:
        """Whether updates run as graphs."""
        return (
            self.device.type == "cuda"
            and (self.num_lanes > 1 or self._lanes.is_recorded)
            and all(optimizer.is_capturable for optimizer in self._optimizers.values())
        )

    def _turns(
        self, losses: Sequence[Loss], active: NDArray[np.bool_] | None, mask: Tensor | None
    ) -> tuple[tuple[_Turn, ...], list[Tensor | None], list[list[Part] | None]]:
        """Counts an update, and finds out which losses it descends, which lanes do so, and how."""
        before = self.updates
        self.updates = before + (1 if active is None else active)
        turns, masks, parts = [], [], []
        for number, loss in enumerate(self._losses):
            if loss not in losses:
                continue
            due = self._due(loss.every, active)
            if due is None or due.any():
                steps = before if loss.every is None else before // self._counts[loss.every]
                turns.append((number, bool((steps == steps[0]).all())))
                masks.append(mask if due is None or due is active else self._column(due))
                parts.append(self._parts(number, due))
        return tuple(turns), masks, parts

    def _parts(self, loss: int, due: NDArray[np.bool_] | None) -> list[Part] | None:
        """Which lanes descend a loss together; None is all."""
        if self.num_lanes == 1 or self._replay is None:
            return None
        return self._divisions[loss].parts(self._counts["batch_size"], due)

    def _due(self, every: str | None, active: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Which lanes, of those that took part in an update, are due, `(L,)`; None is all."""
        if every is None:
            return active
        due: NDArray[np.bool_] = self.updates % self._counts[every] == 0
        due = due if active is None else due & active
        return None if due.all() else due

    def _descend(
        self,
        turns: Sequence[_Turn],
        batch: dict[str, Tensor],
        masks: Sequence[Tensor | None],
        follow: Tensor | None,
        parts: Sequence[Sequence[Part] | None],
    ) -> list[dict[str, Tensor]]:
        """Takes one gradient step on each loss in turn, and moves the target networks."""
        records = []
        for (index, is_in_step), active, together in zip(turns, masks, parts, strict=True):
            loss, own = self._losses[index], batch
            if loss.is_noisy:
                own = {key: value for key, value in batch.items() if not key.startswith("noise/")}
                own["noise"] = batch[f"noise/{loss.name}"]
            rule, stack = _rule(loss), self._lanes.stacks[index]
            if loss.is_estimated:
                value, logs = self._lanes.estimate(loss.name, rule, stack, own)
            else:
                value, logs = self._lanes.descend(loss.name, rule, stack, own, together)
            if loss.step is None:
                self._optimizers[index].step(active, is_in_step)
            else:
                logs = logs | self._step(loss, stack, own, active)
            records.append({loss.name: value, **logs})
        if follow is not None:
            self._follow(follow)
        return records

    def _step(
        self, loss: Loss, stack: Stack, batch: dict[str, Tensor], active: Tensor | None
    ) -> dict[str, Tensor]:
        """Takes the step that a loss finds itself; returns what it logs."""
        find: Any = loss.step
        step, logs = self._lanes.step(
            lambda at, parameters, gradient, hp, batch: find(at, parameters, gradient, batch, hp),
            stack,
            batch,
        )
        with torch.no_grad():
            moves = self._lanes.leave(step)
            stack.flat += moves if active is None else torch.where(active, moves, 0.0)
        return logs

    def _follow_rate(self, active: NDArray[np.bool_] | None) -> Tensor | None:
        """How far target networks go to their online networks in this update, `(L, 1)`.

        None where no lane's target moves.
        """
        assert isinstance(self.frame, ReplayFrame)
        is_copied = bool(self._counts["update_steps"].any())
        due = self._due("update_steps" if is_copied else self.frame.follow_every, active)
        if due is not None and not due.any():
            return None
        if is_copied:
            rate = torch.ones(self.num_lanes, 1, device=self.device)
        else:
            rate = self._lanes.settings["update_rate"].unsqueeze(1)
        return rate if due is None else rate * self._column(due)

    @torch.no_grad()
    def _follow(self, rate: Tensor) -> None:
        targets = self._lanes.stacks[len(self._losses) :]
        for index, target in zip(self._followers, targets, strict=True):
            target.flat.lerp_(self._lanes.stacks[index].flat, rate)

    # ---- state

    def rows(self, lanes: Sequence[int] | None = None) -> AgentRows:
        """Returns a copy of what acting depends on, of some lanes or of all."""
        place = list(range(self.num_lanes)) if lanes is None else list(lanes)
        tensors = read_rows(self._lanes, self._observation)
        seeds = np.array(self._streams.seeds, np.int64)
        live = AgentRows({k: v.detach() for k, v in tensors.items()}, seeds, self.env_steps)
        return live.take(place)

    def weights(self, lane: int | None = None) -> dict[str, Any]:
        """Returns what acting needs.

        Args:
            lane: whose; None is all lanes.

        Returns:
            Parameters `(L, ...)` by role and name, and the moments of a lane's normalizer.
        """
        lanes = slice(None) if lane is None else slice(lane, lane + 1)
        networks = {
            role: {
                name: self._lanes.leave(leaf.detach())[lanes].cpu().clone()
                for name, leaf in named.items()
            }
            for role, named in self._lanes.parameters.items()
        }
        moments = self._observation.moments.state_dict(lane or 0) if self._observation else None
        return {"networks": networks, "observation": moments}

    def weights_in(self, rows: AgentRows, row: int) -> dict[str, Any]:
        """Returns, in the form of `weights`, what stands in a row."""
        networks = {
            role: {name: value.cpu().clone().unsqueeze(0) for name, value in named.items()}
            for index, stack in enumerate(self._lanes.stacks)
            for role, named in stack.unflatten(rows.tensors[f"parameters/{index}"][row]).items()
        }
        names = ("mean", "variance", "count")
        moments = {n: rows.tensors[n][row].cpu().clone() for n in names if n in rows.tensors}
        return {"networks": networks, "observation": moments or None}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Any], lane: int = 0) -> None:
        """Gives a lane what `weights` returned for one.

        Raises:
            ConfigError: the networks have other parameters.
        """
        for role, named in self._lanes.parameters.items():
            saved = weights["networks"].get(role, {})
            for name, leaf in named.items():
                own = self._lanes.leave(leaf)[lane]
                if name not in saved or own.shape != saved[name].shape[1:]:
                    raise ConfigError(
                        f"The checkpoint must hold '{name}' of network '{role}' in shape "
                        f"{tuple(own.shape)}, but "
                        f"does not. Has the model changed since it was trained?"
                    )
                own.copy_(saved[name][0])
        if self._observation is not None:
            self._observation.load_state_dict(weights["observation"], lane)

    def state_dict(self, lane: int = 0) -> dict[str, Any]:
        """Returns all that a lane needs to train on, there or alone."""
        counts = (self.env_steps[lane], self.updates[lane], self._owed[lane])
        return {
            "weights": self.weights(lane),
            "optimizers": [o.state_dict(lane) for o in self._optimizers.values()],
            "streams": self._streams.state_dict(lane),
            "counts": (int(counts[0]), int(counts[1]), float(counts[2])),
            "replay": self._replay.state_dict(lane) if self._replay else None,
            "reward": self._reward.state_dict(lane) if self._reward else None,
            "search": self._search.state_dict(lane) if self._search else None,
            "memory": self._memory.state_dict(lane) if self._memory else None,
        }

    def load_state_dict(
        self, state: Mapping[str, Any], lane: int = 0, seed: int | None = None
    ) -> None:
        """Goes on with a lane where `state` was taken.

        Args:
            state: what `state_dict` returned.
            lane: who goes on.
            seed: of its random numbers, which begin anew where it is not the one that they had.
        """
        self.load_weights(state["weights"], lane)
        optimizers = self._optimizers.values()
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved, lane)
        self._streams.load_state_dict(state["streams"], lane)
        if seed is not None and seed != self._streams.seeds[lane]:
            self._streams.begin(lane, seed)
        self.env_steps[lane], self.updates[lane], self._owed[lane] = state["counts"]
        if self._replay is not None:
            self._replay.load_state_dict(state["replay"], lane)
        if self._reward is not None:
            self._reward.load_state_dict(state["reward"], lane)
        if self._memory is not None:
            self._memory.load_state_dict(state["memory"], lane)
        if self._search is not None:
            self._search.load_state_dict(state["search"], lane)

    def begin_episodes(self, lane: int = 0) -> None:
        """Takes note that new episodes begin, in place of those that were running."""
        if self._search is not None:
            self._search.begin_episodes(lane)


def _steps_that_count(weights: NDArray[Any]) -> NDArray[np.int64]:
    """Steps of a chunk `(T, L, E)` up to each lane's last that counts, `(L,)`.

    What a lane plays beyond its budget, because others play on, leaves no trace in it.
    """
    counts = np.asarray(weights.any(2))
    since_last = counts[::-1].argmax(0)
    return np.where(counts.any(0), len(counts) - since_last, 0)


def _cut(rollout: dict[str, Tensor], kept: Tensor | None) -> dict[str, Tensor]:
    """Cuts off the rollout `(L, T, E)` of each lane after `kept` rows: returns end there."""
    if kept is None:
        return rollout
    truncated = rollout["truncated"]
    steps = torch.arange(1, truncated.shape[1] + 1).unsqueeze(1) * truncated.shape[2]
    is_beyond = (steps >= kept.unsqueeze(2)).to(truncated.device)
    return {**rollout, "truncated": truncated.masked_fill(is_beyond, 1.0)}


def _rule(loss: Loss) -> Any:
    return lambda networks, hp, batch: loss.function(networks, batch, hp)


def _take(values: Tensor, order: Tensor) -> Tensor:
    """Reorders rows `(L, R, ...)` of each lane by `order` `(L, R)`."""
    if len(values) == 1:
        return values[0].index_select(0, order[0]).unsqueeze(0)
    index = order.view(*order.shape, *[1] * (values.dim() - 2)).expand_as(values)
    return values.gather(1, index)
