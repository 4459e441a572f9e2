import pytest
import torch
from pytorch_lightning.callbacks import Callback

import sweeprl
from sweeprl import registry
from sweeprl.config import Continuous, Discrete, EnvSpec
from sweeprl.engine import Learner
from sweeprl.testing import random_transitions

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


class Spy(Callback):
    def on_train_end(self, trainer, pl_module):
        self.device = pl_module.learner.device
        self.root = trainer.strategy.root_device


@pytest.mark.parametrize("frame", ["DQN", "PPO", "SAC", "GAIL", "MADDPG"])
@pytest.mark.parametrize("gpus", ["auto", [0], 1, "0"])
def test_frames_train_on_the_gpu(frame, gpus, small):
    spy = Spy()
    record = sweeprl.launch(small(frame, gpus=gpus, max_env_steps=400), [spy], view="none")
    assert record.status == "finished"
    assert spy.device == spy.root == torch.device("cuda", 0)


def test_replay_memory_may_lie_on_the_gpu_too(small):
    config = small(gpus=[0], frame_config=dict(replay_device="cuda", replay_size=1000))
    assert sweeprl.launch(config, view="none").status == "finished"


def test_normalizers_work_on_the_gpu(small):
    settings = dict(normalize_observation=True, normalize_reward=True)
    for frame in ("DQN", "PPO"):
        config = small(frame, gpus=[0], frame_config=settings, max_env_steps=400)
        assert sweeprl.launch(config, overwrite=True, view="none").status == "finished"


def test_a_trial_of_the_gpu_goes_on_and_evaluates_on_it(small, tmp_path):
    config = small(gpus=[0], max_env_steps=300)
    sweeprl.launch(config, view="none")
    record = sweeprl.launch({**config, "max_env_steps": 500}, resume=True, view="none")
    assert record.env_steps == 500
    assert len(sweeprl.evaluate(tmp_path / "trial", 3)[0]) == 3


@pytest.mark.parametrize(
    "name, spec", [("DQN", EnvSpec(4, Discrete(2))), ("SAC", EnvSpec(3, Continuous(1)))]
)
@pytest.mark.parametrize("num_lanes", [1, 4])
def test_the_gpu_learns_what_the_cpu_learns(name, spec, num_lanes):
    frame = registry.frames.get(name)
    config = frame.Config(warmup_steps=0, batch_size=8, replay_size=100)
    learners = [
        Learner([frame(config, spec)] * num_lanes, list(range(num_lanes)), device=device)
        for device in ("cpu", "cuda")
    ]
    for learner in learners:
        learner.store(random_transitions(spec, 10, num_lanes))
        learner.update()
    one, other = (learner.weights()["networks"] for learner in learners)
    for role, named in one.items():
        for key, value in named.items():
            torch.testing.assert_close(value, other[role][key].cpu(), rtol=1e-2, atol=1e-4)
