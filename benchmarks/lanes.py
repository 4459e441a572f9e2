"""Lane-steps per second of many trials in one process, beside stable-baselines3 in two processes.

    python benchmarks/lanes.py cpu [--case dqn] [--hidden 64] [--lanes 64] [--processes 2] [--save]
    python benchmarks/lanes.py gpu [--case dqn] [--env torch] [--lanes 512] [--compiled] [--save]
    python benchmarks/lanes.py table

A lane-step is one environment step of one agent, with the updates it entitles to. Each figure is
taken from chunks after the warm-up. On the CPU, each repeat begins with stable-baselines3 in as many
processes as there are cores, and ratios are taken within a repeat. Our lanes are shared out to
`--processes` of one thread each, or with 1 are those of one engine with a thread for each core.
On a GPU, `--compiled` has torch.compile fuse what the CUDA graphs capture.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rows import RESULTS, show
from torch.utils._pytree import tree_map_only

import sweeprl
from sweeprl import registry
from sweeprl.config import TrialConfig
from sweeprl.engine import Learner, lifting
from sweeprl.envs import Budget, LanesDataset
from sweeprl.executors.capacity import bytes_per_lane
from sweeprl.launcher import build_frame, versions
from sweeprl.launcher.surroundings import keep_memory

CASES: dict[str, dict[str, Any]] = {
    "dqn": dict(
        frame="DQN", env="CartPole-v1", num_envs=1, roles=2,
        frame_config=dict(mode="fixed_target", warmup_steps=128, replay_size=50_000, batch_size=64, collect_steps=64),
        sb3=dict(learning_starts=128, train_freq=1, gradient_steps=1, buffer_size=50_000, tau=0.005,
                 target_update_interval=1, batch_size=64),
    ),
    "ppo": dict(
        frame="PPO", env="CartPole-v1", num_envs=8, roles=2,
        frame_config=dict(rollout_steps=256, batch_size=64, actor_update_times=10, critic_update_times=10,
                          gradient_max=0.5, gae_lambda=0.95),
        sb3=dict(n_steps=256, batch_size=64, n_epochs=10),
    ),
    "sac": dict(
        frame="SAC", env="Pendulum-v1", num_envs=1, roles=5,
        frame_config=dict(batch_size=64, warmup_steps=128, replay_size=50_000, collect_steps=64),
        sb3=dict(batch_size=64, learning_starts=128, buffer_size=50_000),
    ),
}  # fmt: skip


def config_of(case: dict[str, Any], hidden: int, env: str, batch_size: int | None) -> TrialConfig:
    config = sweeprl.generate_algorithm_config(case["frame"])
    config["frame_config"].update(case["frame_config"])
    config["frame_config"]["model_kwargs"] = [dict(hidden=[hidden, hidden])] * case["roles"]
    if batch_size:
        config["frame_config"]["batch_size"] = batch_size
    extension = "torch" if env == "torch" else "gymnasium"
    config = sweeprl.generate_env_config(
        extension, config, env_name=case["env"], render_every_episode=0
    )
    plain = sweeprl.generate_training_config(
        config=config, max_env_steps=10**9, max_episodes=10**9, num_envs=case["num_envs"],
        vectorization="native" if env == "native" else "sync", gpus=None,
    )  # fmt: skip
    return TrialConfig.of(plain)


class Population:
    """A learner and what it experiences, as the executor builds them."""

    def __init__(
        self, case: dict[str, Any], num_lanes: int, config: TrialConfig, device: torch.device
    ):
        extension = registry.envs.get(config.env)()
        self.frame = build_frame(config, extension)
        seeds = list(range(num_lanes))
        size = getattr(config.frame_config, "replay_size", None)
        if device.type == "cuda":  # what the benchmark stores; memory per lane is told apart
            size = min(size, 20_000)
        self.learner = Learner(
            [self.frame] * num_lanes, seeds, config.num_envs, device,
            replay_device=device, replay_size=size, is_tolerant=True,
        )  # fmt: skip
        envs = extension.create_lanes(config, seeds, "train", device)
        self.data = LanesDataset(envs, self.learner, {}, [Budget(None, None)] * num_lanes)

    def chunk(self) -> int:
        result = next(self.data)
        self.learner.store(result.transitions)
        self.learner.update()
        return int(result.transitions["weight"].sum())

    def rate(self, seconds: float, warm: int) -> float:
        for _ in range(warm):
            self.chunk()
        _begin()
        _synchronize(self.learner.device)
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            steps += self.chunk()
            _synchronize(self.learner.device)
        return steps / (time.perf_counter() - started)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def sb3_rate(case: dict[str, Any], hidden: int, batch_size: int | None, seconds: float) -> float:
    """Environment steps per second of stable-baselines3, in a process for each core."""
    num = os.cpu_count() or 1
    return _together(num, _sb3_worker, (case, hidden, batch_size, seconds))


def lanes_rate(case: dict[str, Any], hidden: int, env: str, lanes: int, seconds: float) -> float:
    """Steps per second of an engine of so many lanes in this process."""
    config = config_of(case, hidden, env, None)
    with keep_memory():
        population = Population(case, lanes, config, torch.device("cpu"))
        return population.rate(seconds, 1 if case["frame"] == "PPO" else 3)


def _together(num: int, work: Any, arguments: tuple[Any, ...]) -> float:
    """Sum of what `work` returns in `num` processes, which begin to measure together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(num)
    with context.Pool(num, initializer=_meet_at, initargs=(barrier,)) as pool:
        return sum(pool.starmap(work, [arguments] * num, chunksize=1))


def _meet_at(barrier: Any) -> None:
    global _begin
    _begin = barrier.wait
    torch.set_num_threads(1)


_begin: Callable[[], Any] = lambda: None  # noqa: E731
"""Waits until all that are measured together are ready."""


def _sb3_worker(case: dict[str, Any], hidden: int, batch_size: int | None, seconds: float) -> float:
    import stable_baselines3
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Clock(BaseCallback):
        """Starts after the first round of updates, and stops when the time is over."""

        begun: tuple[float, int] | None = None

        def _on_step(self) -> bool:
            now = time.perf_counter(), self.num_timesteps
            if self.begun is None and self.model._n_updates > 0:
                _begin()
                self.begun = now = time.perf_counter(), self.num_timesteps
            self.ended = now
            return self.begun is None or now[0] - self.begun[0] < seconds

    env = make_vec_env(case["env"], n_envs=case["num_envs"], seed=os.getpid())
    algorithm = getattr(stable_baselines3, case["frame"])
    settings = {**case["sb3"], **(dict(batch_size=batch_size) if batch_size else {})}
    model = algorithm(
        "MlpPolicy", env, device="cpu", policy_kwargs=dict(net_arch=[hidden, hidden]), **settings
    )
    clock = Clock()
    model.learn(10**9, callback=clock)
    assert clock.begun is not None
    return (clock.ended[1] - clock.begun[1]) / (clock.ended[0] - clock.begun[0])


def matmul_rate(device: torch.device, num: int = 64, size: int = 64) -> float:
    """Floating-point operations per second of batched products as an update has them."""
    a, b = (torch.randn(num, size, size, device=device) for _ in range(2))
    out = torch.empty_like(a)
    for _ in range(20):
        torch.bmm(a, b, out=out)
    _synchronize(device)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < 0.5:
        for _ in range(20):
            torch.bmm(a, b, out=out)
        _synchronize(device)
        count += 20
    return 2 * num * size**3 * count / (time.perf_counter() - started)


def update_operations(case: dict[str, Any], config: TrialConfig, hidden: int) -> float:
    """Floating-point operations of matrix products that one environment step entails."""
    spec = registry.envs.get(config.env)().spec(config.train_env_config)
    batch, d, a = config.frame_config.batch_size, spec.observation_size, spec.action.size

    def net(inputs: int, outputs: int) -> int:
        return inputs * hidden + hidden * hidden + hidden * outputs

    def back(inputs: int, outputs: int) -> int:  # without a gradient for the input
        return 2 * net(inputs, outputs) - inputs * hidden

    if case["frame"] == "DQN":
        num = spec.action.num
        return 2 * batch * (2 * net(d, num) + back(d, num))
    if case["frame"] == "PPO":
        num = spec.action.num
        return 2 * 10 * (net(d, num) + back(d, num) + net(d, 1) + back(d, 1))
    q, pi = net(d + a, 1), net(d, 2 * a)
    critics = 2 * q + 2 * back(d + a, 1) + 2 * q + pi
    actor = pi + back(d, 2 * a) + 2 * q + 2 * (q + (d + a) * hidden)
    return 2 * batch * (critics + actor)


def cpu_rows(
    name: str,
    hidden: int,
    lanes: list[int],
    env: str,
    repeats: int,
    seconds: float,
    processes: int,
) -> list[dict[str, Any]]:
    """Each repeat runs stable-baselines3 and then every number of lanes; ratios are taken within it."""
    case, device = CASES[name], torch.device("cpu")
    config = config_of(case, hidden, env, None)
    operations = update_operations(case, config, hidden)
    theirs: list[float] = []
    ours: dict[int, list[float]] = {num: [] for num in lanes}
    shares: dict[int, list[float]] = {num: [] for num in lanes}
    for _ in range(repeats):
        theirs.append(sb3_rate(case, hidden, None, seconds))
        for num in lanes:
            own = (case, hidden, env, num // processes, seconds)
            rate = lanes_rate(*own) if processes == 1 else _together(processes, lanes_rate, own)
            ours[num].append(rate)
            shares[num].append(rate * operations / matmul_rate(device))
    return [
        dict(
            device="cpu", case=name, env=env, hidden=hidden, lanes=num, processes=processes,
            lane_steps_per_second=round(statistics.median(ours[num])), sb3_steps_per_second=round(statistics.median(theirs)),
            ratio=[round(f([a / b for a, b in zip(ours[num], theirs, strict=True)]), 2) for f in (min, statistics.median, max)],
            microseconds_per_engine_step=round(1e6 * num * case["num_envs"] / statistics.median(ours[num])),
            share_of_matmul_rate=round(statistics.median(shares[num]), 2), repeats=repeats,
        )
        for num in lanes
    ]  # fmt: skip


def compile_rules(device: torch.device) -> None:
    """Has every rule of the engine compiled, once it is traced."""
    trace = lifting.make_fx

    def traced(rule: Any) -> Any:
        def compiled(*examples: Any) -> Any:
            record = trace(rule)(*examples)
            for name, value in list(vars(record).items()):
                if isinstance(value, torch.Tensor):  # a graph cannot read it from the CPU
                    setattr(record, name, value.to(device))
            fused = torch.compile(record, dynamic=False)

            def run(*args: Any) -> Any:  # other strides would have it compiled anew in a capture
                return fused(*tree_map_only(torch.Tensor, torch.Tensor.contiguous, args))

            return run

        return compiled

    lifting.make_fx = traced


def gpu_row(
    name: str, hidden: int, num_lanes: int, env: str, batch_size: int | None, seconds: float
) -> dict[str, Any]:
    case, device = CASES[name], torch.device("cuda", 0)
    config = config_of(case, hidden, env, batch_size)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    population = Population(case, num_lanes, config, device)
    population.chunk()
    _synchronize(device)
    begun = time.perf_counter() - started
    rate = population.rate(seconds, 4 if name != "ppo" else 1)
    return dict(
        device=torch.cuda.get_device_name(0), case=name, env=env, hidden=hidden, lanes=num_lanes,
        batch_size=config.frame_config.batch_size, lane_steps_per_second=round(rate),
        microseconds_per_engine_step=round(1e6 * num_lanes * case["num_envs"] / rate),
        peak_megabytes_per_lane=round(torch.cuda.max_memory_allocated() / 2**20 / num_lanes, 2),
        planned_megabytes_per_lane=round(bytes_per_lane(population.frame, config) / 2**20, 2),
        seconds_to_first_chunk=round(begun, 1),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", choices=["cpu", "gpu", "table"])
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--hidden", type=int, action="append")
    parser.add_argument("--lanes", type=int, action="append")
    parser.add_argument("--env", choices=["gymnasium", "native", "torch"], default="torch")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="of our lanes")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--compiled", action="store_true", help="on a GPU: with torch.compile")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--save", action="store_true", help="append to results/lanes.jsonl")
    arguments = parser.parse_args()
    if arguments.device == "table":
        table()
        return
    torch.set_num_threads(os.cpu_count() or 1)
    if arguments.compiled:
        compile_rules(torch.device("cuda", 0))
    lanes = arguments.lanes or [64]
    with keep_memory():
        for name in arguments.case or CASES:
            for hidden in arguments.hidden or [64]:
                if arguments.device == "cpu":
                    measured = (arguments.repeats, arguments.seconds, arguments.processes)
                    found = cpu_rows(name, hidden, lanes, arguments.env, *measured)
                    show_all(found, arguments.save)
                for num in lanes if arguments.device == "gpu" else []:
                    wanted = (name, hidden, num, arguments.env, arguments.batch_size)
                    row = gpu_row(*wanted, arguments.seconds)
                    row |= {"is_compiled": True} if arguments.compiled else {}
                    show_all([row], arguments.save)


def table() -> None:
    """Writes results/lanes.md from the rows."""
    rows = [json.loads(line) for line in (RESULTS / "lanes.jsonl").read_text().splitlines()]
    cpu = [
        "| case | networks | lanes | processes | lane-steps/s | SB3, 2 processes | ratio: min, median, max | µs per engine step | share of matmul rate |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    gpu = [
        "| case | networks | batch | environments | lanes | GPU | lane-steps/s | µs per engine step | MiB per lane |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda r: (r["case"], r["env"], r["hidden"], r["lanes"])):
        first = f"| {row['case']} | 2x{row['hidden']} | "
        rate, step = f"{row['lane_steps_per_second']:,}", f"{row['microseconds_per_engine_step']:,}"
        if row["device"] == "cpu":
            ratio = ", ".join(str(value) for value in row["ratio"])
            cpu.append(
                f"{first}{row['lanes']} | {row.get('processes', 1)} | {rate} | {row['sb3_steps_per_second']:,} | {ratio} | {step} | {row['share_of_matmul_rate']:.0%} |"
            )
        elif "is_compiled" not in row:
            memory, card = row["peak_megabytes_per_lane"], row["device"].split()[1]
            gpu.append(
                f"{first}{row['batch_size']} | {row['env']} | {row['lanes']} | {card} | {rate} | {step} | {memory} |"
            )
    (RESULTS / "lanes.md").write_text("\n".join([*cpu, "", *gpu]) + "\n")


def show_all(found: list[dict[str, Any]], is_saved: bool) -> None:
    for row in found:
        own = {k: v for k, v in versions().items() if k != "pytorch-lightning"}
        show({**row, "versions": own}, "lanes", is_saved)


if __name__ == "__main__":
    main()
