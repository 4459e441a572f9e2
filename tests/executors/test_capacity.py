import pytest
import torch

from sweeprl.executors import capacity
from sweeprl.executors.capacity import bytes_per_lane, free_bytes, num_lanes_for, replay_rows
from sweeprl.launcher import build_frame
from sweeprl.registry import envs
from tests.executors.conftest import small_config

CPU = torch.device("cpu")


def frame_and_config(tmp_path, frame="DQN", **settings):
    config = small_config(tmp_path, frame, **settings)
    return build_frame(config, envs.get(config.env)()), config


def test_a_buffer_holds_no_more_than_the_budget(tmp_path):
    large = dict(replay_size=5000)
    assert replay_rows(small_config(tmp_path, frame_config=large, max_env_steps=300)) == 300
    assert replay_rows(small_config(tmp_path, frame_config=large, max_env_steps=9000)) == 5000
    assert replay_rows(small_config(tmp_path, frame_config=large, max_env_steps=None)) == 5000
    assert replay_rows(small_config(tmp_path, "PPO")) == 0


@pytest.mark.parametrize("frame, beside", [("DQN", 0), ("DQNPer", 1)])
def test_replay_buffers_are_counted_before_they_are_allocated(frame, beside, tmp_path):
    sizes = {
        size: bytes_per_lane(
            *frame_and_config(
                tmp_path, frame, frame_config=dict(replay_size=size), max_env_steps=None
            )
        )
        for size in (1000, 2000)
    }
    width = 4 + 1 + 1 + 4 + 1 + 1 + beside
    assert sizes[2000] - sizes[1000] == 1000 * width * 4


def test_a_replay_that_is_too_large_for_the_machine_lowers_the_number_of_lanes(tmp_path):
    free = free_bytes(CPU)
    assert free > 2**20
    rows = int(free / 5 / 12 / 4)  # a fifth of what is free
    few = frame_and_config(tmp_path, frame_config=dict(replay_size=rows), max_env_steps=None)
    assert 1 <= num_lanes_for(*few, CPU) <= 4
    roomy = frame_and_config(tmp_path)
    assert num_lanes_for(*roomy, CPU) == 64
    assert [num_lanes_for(*roomy, CPU, num) for num in (2, 4, 16)] == [32, 16, 16]


@pytest.mark.parametrize("frame", ["PPO", "SAC"])
def test_every_frame_fits(frame, tmp_path, monkeypatch):
    built = frame_and_config(tmp_path, frame)
    needed = bytes_per_lane(*built)
    monkeypatch.setattr(capacity, "free_bytes", lambda device: 10 * needed)
    assert num_lanes_for(*built, CPU) == 6
    assert num_lanes_for(*built, CPU, num_processes=3) == 2
    monkeypatch.setattr(capacity, "free_bytes", lambda device: 0)
    assert num_lanes_for(*built, CPU) == 1


@pytest.mark.parametrize(
    "frame, hidden, measured",  # MiB per lane on a GPU, benchmarks/results/lanes.md
    [("PPO", 64, 1.57), ("PPO", 16, 0.57)],
)
def test_no_less_is_planned_than_was_measured(frame, hidden, measured, tmp_path):
    settings = dict(
        batch_size=64, rollout_steps=256, model_kwargs=[dict(hidden=[hidden, hidden])] * 2
    )
    frame_and = frame_and_config(tmp_path, frame, frame_config=settings, num_envs=8)
    assert bytes_per_lane(*frame_and) >= measured * 2**20
