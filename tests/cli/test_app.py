from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch

import sweeprl
from sweeprl import load_config, registry
from tests.cli.conftest import SMALL_SETTINGS

COMMANDS = ["list", "generate", "run", "evaluate"]
FAILING = """
import gymnasium as gym
from sweeprl.config import EnvConfig
from sweeprl.envs import EnvExtension


class Broken(gym.Wrapper):
    def step(self, action):
        raise ZeroDivisionError("the ground is gone")


class {name}(EnvExtension):
    class Config(EnvConfig):
        broken: bool = False

    def make(self, config, render_mode=None):
        env = gym.make("CartPole-v1")
        return Broken(env) if config.broken else env
"""


# ---- help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    result = cli(command, "--help")
    assert result.code == 0
    assert f"sweeprl {command}" in result.out
    assert "--help" in result.out


def test_the_help_names_every_command(cli):
    result = cli("--help")
    assert result.code == 0
    for command in COMMANDS:
        assert f"\n│ {command} " in result.out or f" {command} " in result.out


@pytest.mark.parametrize(
    "arguments", [["lst"], ["generate"], ["run", "--cofnig", "x"], ["run", "--seed", "x"]]
)
def test_what_the_command_line_itself_refuses(cli, arguments):
    result = cli(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("Usage: ")
    assert "Traceback" not in result.err


# ---- list


def test_list_names_everything_with_a_line_each(cli):
    result = cli("list")
    assert result.code == 0
    for kind in (registry.frames, registry.envs):
        for name, summary in kind.names().items():
            assert any(
                line.split(maxsplit=1) == [name, summary] for line in result.out.splitlines()
            )


@pytest.mark.parametrize(
    "arguments, sections",
    [
        ([], ["algorithms", "environments"]),
        (["--algo"], ["algorithms"]),
        (["--env"], ["environments"]),
        (["--algo", "--env"], ["algorithms", "environments"]),
    ],
)
def test_list_shows_what_is_asked_for(cli, arguments, sections):
    listed = json.loads(cli("list", "--json", *arguments).out)
    assert list(listed) == sections
    lines = cli("list", *arguments).out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == sections


def test_list_as_json(cli):
    listed = json.loads(cli("list", "--json").out)
    assert listed == {
        "algorithms": registry.frames.names(),
        "environments": registry.envs.names(),
    }


# ---- generate


@pytest.mark.parametrize("algo", ["DQN", "PPO", "SAC"])
def test_generate_writes_a_whole_valid_config(cli, algo, tmp_path):
    result = cli("generate", "--algo", algo)
    assert result.code == 0
    assert "sweeprl run --config config.json" in result.out
    plain = json.loads((tmp_path / "config.json").read_text())
    assert plain["frame"] == algo
    assert load_config(tmp_path / "config.json").to_dict() == plain


def test_generate_as_the_specification_calls_it(cli, tmp_path):
    result = cli("generate", "--algo", "DQN", "--env", "openai_gym", "--output", "config.json")
    assert result.code == 0
    assert load_config(tmp_path / "config.json").env == "gymnasium"


def test_generate_prints(cli, tmp_path):
    result = cli("generate", "--algo", "SAC", "--env-name", "Pendulum-v1", "--print")
    assert result.code == 0
    plain = json.loads(result.out)
    assert plain["train_env_config"]["env_name"] == "Pendulum-v1"
    assert plain["test_env_config"]["env_name"] == "Pendulum-v1"
    assert list(tmp_path.iterdir()) == []


def test_generate_writes_yaml_into_a_new_folder(cli, tmp_path):
    assert cli("generate", "--algo", "DQN", "--output", "new/config.yaml").code == 0
    assert load_config(tmp_path / "new" / "config.yaml").frame == "DQN"
    assert not (tmp_path / "new" / "config.yaml").read_text().startswith("{")


def test_generate_does_not_replace_a_file(refused, cli, tmp_path):
    (tmp_path / "config.json").write_text("mine")
    message = refused("generate", "--algo", "DQN")
    assert "'config.json' must not exist yet, but does. Choose another --output" in message
    assert (tmp_path / "config.json").read_text() == "mine"
    assert cli("generate", "--algo", "DQN", "--overwrite").code == 0
    assert load_config(tmp_path / "config.json").frame == "DQN"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--algo", "DQM"], "No frame named 'DQM'. Did you mean 'DQN'?"),
        (["--algo", "DQN", "--env", "gymnasum"], "Did you mean 'gymnasium'?"),
    ],
)
def test_generate_refuses_unknown_names(refused, arguments, message, tmp_path):
    assert message in refused("generate", *arguments)
    assert list(tmp_path.iterdir()) == []


# ---- run


def test_run_trains_and_tells_where_the_results_lie(cli, config_file, tmp_path):
    result = cli("run", "--config", config_file, "--root-dir", "here", "--seed", 3, *SMALL_SETTINGS)
    assert result.code == 0
    assert "finished: the budget is spent" in result.out
    assert "600 env steps" in result.out
    assert "sweeprl evaluate here --video" in result.out
    assert "100%" in result.err.splitlines()[-1]  # plain lines where there is no terminal
    effective = load_config(tmp_path / "here" / "config.json")
    assert (effective.seed, effective.root_dir, effective.max_env_steps) == (3, "here", 600)
    assert effective.frame_config.model_kwargs == [{"hidden": [16]}] * 2
    assert not (tmp_path / "trial").exists()


def test_run_as_json(cli, config_file, tmp_path):
    result = cli("run", "--config", config_file, "--json", *SMALL_SETTINGS)
    assert (result.code, result.err) == (0, "")
    *progress, last = result.events
    assert {event["event"] for event in progress} == {"progress"}
    assert progress[-1]["env_steps"] == 600
    assert last["event"] == last["status"] == "finished"
    record = json.loads((tmp_path / "trial" / "record.json").read_text())
    assert {"event": "finished", **record} == last


def test_run_quietly(cli, config_file):
    result = cli("run", "--config", config_file, "--quiet", *SMALL_SETTINGS)
    assert (result.code, result.out, result.err) == (0, "", "")


def test_run_does_not_replace_results(refused, cli, config_file, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "trial")
    before = (folder / "record.json").read_text()
    message = refused("run", "--config", config_file, *SMALL_SETTINGS)
    assert "root_dir must not hold another trial's results, but 'trial' does" in message
    assert (folder / "record.json").read_text() == before
    result = cli("run", "--config", config_file, "--quiet", "--overwrite", *SMALL_SETTINGS)
    assert result.code == 0
    assert (folder / "record.json").read_text() != before


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--set", "lerning_rate=1"], "Unknown key 'lerning_rate'. Did you mean 'learning_rate'?"),
        (["--set", "learning_rate"], "--set must be key=value, but got 'learning_rate'."),
        (["--set", "learning_rate=-1"], "frame_config.learning_rate: Input should be greater"),
        (["--set", "learning_rate=fast"], "but got 'fast'"),
        (["--set", "evaluation.episods=1"], "Did you mean 'episodes'?"),
        (["--set", "update_steps=5"], "xactly one of update_rate and update_steps must be set"),
        (["--set", "train_env_config.env_name=CartPole"], "No Gymnasium environment 'CartPole'"),
        (["--set", "optimizer=Adm"], "No optimizer named 'Adm'. Did you mean 'Adam'?"),
        (["--set", "criterion=MSLoss"], "No criterion named 'MSLoss'. Did you mean 'MSELoss'?"),
        (["--set", "frame_config.models.*=qnet.QNet"], "No model named 'qnet.QNet'"),
        (["--set", "gpus=[63]"], "GPU 63 must be visible"),
        (["--set", "gpus=many"], "gpus: must be "),
        (["--seed", "-1"], "seed: Input should be greater than or equal to 0, but got -1."),
        (["--set", "train_env_config.act_kwargs.greddy=true"], "Did you mean 'greedy'?"),
    ],
)
def test_run_refuses_wrong_settings_before_anything_is_written(
    refused, config_file, arguments, message, tmp_path
):
    before = sorted(tmp_path.rglob("*"))
    said = refused("run", "--config", config_file, *arguments)
    assert message in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_later_setting_wins_and_values_may_hold_an_equals_sign(refused, config_file):
    changes = ["--set", "seed=1", "--set", "seed=-5", "--set", "root_dir=a=b"]
    assert "but got -5" in refused("run", "--config", config_file, *changes)


@pytest.mark.parametrize(
    "arguments", [[], ["--config", "config.json", "--resume", "trial"], ["--seed", "1"]]
)
def test_run_needs_one_thing_to_run(refused, config_file, arguments):
    assert "Exactly one of --config and --resume must be given" in refused("run", *arguments)


def test_run_answers_a_missing_config_with_a_command(refused):
    assert "sweeprl generate --algo DQN" in refused("run", "--config", "nowhere.json")


def test_a_frame_that_cannot_serve_the_actions_is_refused(refused, config_file):
    sections = ("train_env_config", "test_env_config")
    settings = [f"--set={name}.env_name=Pendulum-v1" for name in sections]
    said = refused("run", "--config", config_file, *settings)
    assert "DQN needs discrete actions, but Pendulum-v1 has continuous ones" in said


# ---- a module beside the config


@pytest.fixture
def far_config(config_file, tmp_path, request):
    """A config in another folder, beside a module with an environment extension."""
    name = f"Extension{abs(hash(request.node.name))}"
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / f"module_of_{name}.py").write_text(FAILING.format(name=name))
    config = json.loads(config_file.read_text())
    config |= {"env": f"module_of_{name}:{name}"}
    del config["train_env_config"], config["test_env_config"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "config.json"


OWN_SETTINGS = [
    part for pair in SMALL_SETTINGS[1::2] if "render" not in pair for part in ("--set", pair)
]


def test_an_extension_beside_the_config(cli, far_config):
    result = cli("run", "--config", far_config, "--json", *OWN_SETTINGS)
    assert (result.code, result.err) == (0, "")
    assert result.events[-1]["env_steps"] == 600


def test_a_trial_that_fails_ends_in_one_paragraph_and_exit_code_1(cli, far_config, tmp_path):
    broken = ["--set", "train_env_config.broken=true"]
    result = cli("run", "--config", far_config, *OWN_SETTINGS, *broken)
    assert result.code == 1
    said = "The environment's step raised ZeroDivisionError: the ground is gone"
    assert result.err.splitlines()[-1] == f"Error: {said}"
    assert "Traceback" not in result.err
    record = json.loads((tmp_path / "trial" / "record.json").read_text())
    assert (record["status"], record["reason"]) == ("failed", said)


def test_an_extension_in_the_working_directory_is_generated(cli, far_config, tmp_path):
    module = next(far_config.parent.glob("module_of_*.py"))
    shutil.copy(module, tmp_path)
    name = f"{module.stem}:{module.stem.removeprefix('module_of_')}"
    result = cli("generate", "--algo", "DQN", "--env", name, "--print")
    assert json.loads(result.out)["train_env_config"] == {"act_kwargs": {}, "broken": False}


# ---- run --resume


def test_resume_goes_on_with_a_larger_budget(cli, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "moved")
    result = cli("run", "--resume", folder, "--json", "--set", "max_env_steps=700")
    assert (result.code, result.err) == (0, "")
    assert result.events[-1]["env_steps"] == 700
    assert load_config(folder / "config.json").frame_config.warmup_steps == 100


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--set", "learning_rate=1"], "A resumed trial keeps its settings; only max_env_steps"),
        (["--seed", "3"], "may change, but got seed"),
        (["--root-dir", "x"], "may change, but got root_dir"),
    ],
)
def test_a_resumed_trial_keeps_its_settings(refused, trained, arguments, message):
    assert message in refused("run", "--resume", trained, *arguments)


def test_resume_needs_a_trial(refused, tmp_path):
    assert "must be a trial's root_dir, but holds no config.json" in refused(
        "run", "--resume", tmp_path
    )


def test_resume_needs_a_checkpoint(refused, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "trial")
    (folder / "checkpoints" / "last.ckpt").unlink()
    said = refused("run", "--resume", folder)
    assert "last.ckpt' must exist to go on, but does not" in said
    assert "sweeprl run --config" in said


# ---- evaluate


def test_evaluate_plays_the_best_checkpoint(cli, trained):
    result = cli("evaluate", trained, "--episodes", 3)
    assert result.code == 0
    assert result.out.startswith("3 episodes: mean return ")
    assert "video" not in result.out


def test_evaluate_as_json_is_the_final_test_again(cli, trained):
    (judged,) = cli("evaluate", trained, "--json").events
    record = json.loads((trained / "record.json").read_text())
    assert judged["returns"] == record["test_returns"]
    assert judged["mean"] == record["test_return"]
    assert judged["videos"] == []


def test_evaluate_writes_what_was_done_and_replaces_nothing(cli, refused, trained, tmp_path):
    path = tmp_path / "trajectory.data"
    save = ("evaluate", trained, "--episodes", 2, "--save-trajectories", path)
    result = cli(*save)
    assert result.code == 0
    assert f"trajectories: {path}" in result.out
    (judged,) = cli(*save, "--overwrite", "--json").events
    saved = torch.load(path, weights_only=True)
    first, second = saved["end"].tolist()
    assert [saved["reward"][:first].sum(), saved["reward"][first:].sum()] == judged["returns"]
    assert saved["state"].shape == (second, 4)
    assert saved["action"].shape == (second, 1)
    over = saved["terminated"] + saved["truncated"]
    assert over.nonzero().flatten().tolist() == [first - 1, second - 1]
    assert (saved["env"], saved["observation_size"]) == ("CartPole-v1", 4)
    assert list(tmp_path.iterdir()) == [path]
    before = path.read_bytes()
    message = refused(*save)
    assert "must not exist yet, but does. Choose another --save-trajectories or add" in message
    assert path.read_bytes() == before
    save = (*save[:-1], tmp_path / "no" / "file.data")
    assert "must name a file in a folder that exists" in refused(*save)


def test_gail_without_its_expert_is_refused_before_anything_is_written(refused, cli, tmp_path):
    assert cli("generate", "--algo", "GAIL").code == 0
    message = refused("run", "--config", "config.json", "--set", "PPO_config.discount=0.9")
    assert "frame_config.expert_trajectory_path must be a file of trajectories, but" in message
    assert "sweeprl evaluate TRIAL" in message
    assert not (tmp_path / "trial").exists()


def test_evaluate_films(cli, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "trial")
    (judged,) = cli("evaluate", folder, "--episodes", 2, "--video", "--json").events
    (video,) = judged["videos"]
    assert video.endswith(".mp4")
    assert (folder / "videos").samefile(video.rpartition("/")[0])


def test_evaluate_films_again_where_the_final_test_was_filmed(cli, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "trial")
    for _ in range(2):
        (judged,) = cli("evaluate", folder, "--episodes", 1, "--video", "--json").events
        assert len(judged["videos"]) == 1


def test_evaluate_finds_the_modules_that_the_trial_found(cli, far_config):
    arguments = ["--quiet", "--set", "max_env_steps=100", *OWN_SETTINGS[2:]]
    assert cli("run", "--config", far_config, *arguments).code == 0
    for name in [name for name in sys.modules if name.startswith("module_of_")]:
        del sys.modules[name]  # as in a new process
    assert cli("evaluate", "trial", "--episodes", 1).code == 0


def test_evaluate_needs_a_trial(refused, tmp_path):
    assert "must be a trial's root_dir, but holds no config.json" in refused("evaluate", tmp_path)


def test_evaluate_needs_a_checkpoint(refused, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "trial")
    (folder / "checkpoints" / "best.ckpt").unlink()
    assert "best.ckpt' must exist, but no evaluation has been made" in refused("evaluate", folder)


def test_evaluate_refuses_no_episodes(cli, trained):
    assert cli("evaluate", trained, "--episodes", 0).code == 2


# ---- the module


def test_the_version_is_the_packages():
    from importlib.metadata import version

    assert sweeprl.__version__ == version("sweeprl")
