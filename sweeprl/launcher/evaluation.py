"""Playing what a trial has learned."""

from __future__ import annotations

from pathlib import Path

import torch

from sweeprl import registry
from sweeprl.config import TrialConfig
from sweeprl.envs import EnvExtension
from sweeprl.errors import ConfigError
from sweeprl.frames import Trajectories
from sweeprl.launcher.launching import build_learner
from sweeprl.launcher.record import TrialFolder, replace_file
from sweeprl.launcher.surroundings import quiet, threads
from sweeprl.networks import Resolver, caller_globals
from sweeprl.registry import importable

__all__ = ["evaluate"]


def evaluate(
    root_dir: str | Path,
    episodes: int | None = None,
    video: bool = False,
    save_trajectories: str | Path | None = None,
) -> tuple[list[float], list[Path]]:
    """Plays the best checkpoint of a trial, greedily, on the test environment.

    Args:
        root_dir: of the trial.
        episodes: how many; as many as in the final test by default.
        video: whether to film the first one.
        save_trajectories: a file for what was done in them, which GAIL can imitate; it is written
            whole or not at all, and replaces one that lies there.

    Returns:
        The return of each episode, and the videos made.

    Raises:
        ConfigError: no trial, or no checkpoint, lies there.
    """
    folder = TrialFolder(Path(root_dir))
    config, record = folder.load_config(), folder.load_record()
    if not folder.best.exists():
        raise ConfigError(
            f"'{folder.best}' must exist, but no evaluation has been made yet. "
            f"Go on with: sweeprl run --resume {folder.root}"
        )
    config = _for_evaluation(config, folder, episodes, video)
    folders = [f for f in (record.config_folder, folder.root, Path.cwd()) if f]
    before = _films(folder)
    with importable(folders), quiet(), threads(config.num_threads):
        extension: EnvExtension = registry.envs.get(config.env)()
        learner = build_learner(config, extension, Resolver(caller_globals()), learns=False)
        learner.load_weights(
            torch.load(folder.best, map_location="cpu", weights_only=True)["weights"]
        )
        data = extension.create_dataset(learner, config, "test")
        returns, played = [], []
        for result in data:
            returns.append(result.episodes[0].total)
            if save_trajectories is not None:
                played.append(result.transitions)
        data.copies.close()
    if save_trajectories is not None:
        trajectories = Trajectories.of(played)
        spec = learner.frame.spec
        replace_file(Path(save_trajectories), lambda file: trajectories.save(file, spec))
    made = [path for path, time in _films(folder).items() if before.get(path) != time]
    return returns, sorted(made)


def _films(folder: TrialFolder) -> dict[Path, int]:
    """When each video was written."""
    return {path: path.stat().st_mtime_ns for path in folder.videos.glob("*.mp4")}


def _for_evaluation(
    config: TrialConfig, folder: TrialFolder, episodes: int | None, video: bool
) -> TrialConfig:
    plain = config.model_dump()
    plain["root_dir"] = str(folder.root)
    plain["gpus"] = "auto"  # where it was trained may not be here
    plain["evaluation"]["final_episodes"] = episodes or config.evaluation.final_episodes
    if "render_every_episode" in plain["test_env_config"]:
        plain["test_env_config"]["render_every_episode"] = 1 if video else 0
    return TrialConfig.of(plain)
