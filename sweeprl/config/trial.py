"""The whole description of one trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SerializeAsAny, field_validator, model_validator
from pydantic_core import PydanticSerializationError
from typing_extensions import Self

from sweeprl import registry
from sweeprl.config.base import Config, build
from sweeprl.config.frame import FrameConfig
from sweeprl.config.structure import traced_of
from sweeprl.errors import ConfigError, did_you_mean

__all__ = ["Change", "EnvConfig", "Evaluation", "TrialConfig"]


ConfigT = TypeVar("ConfigT", bound=Config)


class EnvConfig(Config):
    """What every environment extension can be told; each extends this."""

    act_kwargs: dict[str, Any] = {}
    """Keyword arguments of the frame's `act`, for example `{"greedy": true}`."""


class Evaluation(Config):
    """How the trained policy is judged on `test_env_config`."""

    episodes: Annotated[int, Field(gt=0)] = 5
    """Greedy episodes in one evaluation."""
    every_env_steps: Annotated[int | None, Field(gt=0)] = 10_000
    """Environment steps between two evaluations during training; null evaluates at the end only."""
    final_episodes: Annotated[int, Field(gt=0)] = 20
    """Greedy episodes of the final test, which plays the best checkpoint."""


class Change(Config):
    """Settings of the frame that change while it trains."""

    env_steps: Annotated[int, Field(gt=0)]
    """Environment steps after which they change."""
    settings: Annotated[dict[str, float], Field(min_length=1)]
    """New values by dotted path: of numbers in `frame_config` that shape no network or memory."""


class TrialConfig(Config):
    """One trial: what is trained, where, for how long, and how it is judged."""

    frame: str = "DQN"
    """The algorithm, as `sweeprl list --algo` names it."""
    frame_config: SerializeAsAny[FrameConfig]
    """The algorithm's own settings."""
    env: str = "gymnasium"
    """The environment extension, as `sweeprl list --env` names it."""
    train_env_config: SerializeAsAny[EnvConfig]
    """The environment to train in."""
    test_env_config: SerializeAsAny[EnvConfig]
    """The environment to evaluate in."""
    schedule: list[Change] = []
    """Changes of settings in the course of training, as population-based training finds them."""
    num_envs: Annotated[int, Field(gt=0)] = 1
    """Copies of the training environment that one agent steps together."""
    vectorization: Literal["sync", "async", "native", "envpool"] = "sync"
    """How several copies run: in turn, in a process each, by the environment's own vectorised
    implementation, or by EnvPool's."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Everything random is derived from it."""
    root_dir: str = "trial"
    """Folder of everything the trial writes."""
    max_env_steps: Annotated[int | None, Field(gt=0)] = None
    """Budget in environment steps over all copies; null sets no limit."""
    max_episodes: Annotated[int, Field(gt=0)] = 10_000
    """Budget in training episodes; whichever limit is met first ends the trial."""
    episode_per_epoch: Annotated[int, Field(gt=0)] = 10
    """Training episodes in one epoch."""
    early_stopping_patience: Annotated[int | None, Field(gt=0)] = None
    """Epochs without a better mean training return after which the trial ends; null never stops
    early."""
    evaluation: Evaluation = Evaluation()
    """How the trained policy is judged."""
    report_every_env_steps: Annotated[int, Field(gt=0)] = 1000
    """Environment steps between two rows of the curves."""
    score: Literal["final", "auc", "eval"] = "final"
    """What a tuner maximises: mean training return of the last tenth of the environment steps, of
    all of them, or the final test's mean return."""
    gpus: Literal["auto"] | int | list[int] | str | None = "auto"
    """GPUs to train on: "auto" is the first one if there is any, a list or a string names them, a
    number counts them, null is the CPU."""
    num_nodes: int = 1
    """Machines; above 1 only for distributed frames."""
    num_processes: int = 1
    """Processes on a machine without GPU; above 1 only for distributed frames."""
    num_threads: Annotated[int, Field(gt=0)] = 1
    """CPU threads of one trial. Networks this small gain nothing from a second one, and lose much
    where another process wants its core."""
    logger: list[Literal["csv", "tensorboard"]] = ["csv", "tensorboard"]
    """Where curves are written, both under `root_dir`."""
    checkpoint_every_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two writes of `last.ckpt`, from which an interrupted trial goes on."""

    @model_validator(mode="before")
    @classmethod
    def _sections_by_name(cls, data: Any) -> Any:
        """Validates the sections with the classes that `frame` and `env` name."""
        if not isinstance(data, Mapping):
            return data
        frame = registry.frames.resolve(_word(data, "frame", "DQN"))
        env = registry.envs.resolve(_word(data, "env", "gymnasium"))
        frame_model = _config_of(registry.frames, frame, FrameConfig)
        env_model = _config_of(registry.envs, env, EnvConfig)
        return {
            **data,
            "frame": frame,
            "env": env,
            "frame_config": build(frame_model, data.get("frame_config", {}), "frame_config"),
            "train_env_config": build(
                env_model, data.get("train_env_config", {}), "train_env_config"
            ),
            "test_env_config": build(env_model, data.get("test_env_config", {}), "test_env_config"),
        }

    @field_validator("num_nodes", "num_processes")
    @classmethod
    def _one_process(cls, count: int) -> int:
        if count != 1:
            raise ValueError(
                f"must be 1 for a single-machine frame, but got {count}. "
                "Run several trials side by side instead."
            )
        return count

    @model_validator(mode="after")
    def _frame_fits_environments(self) -> Self:
        self.frame_config.check(self.num_envs)
        return self

    @model_validator(mode="after")
    def _schedule_can_be_kept(self) -> Self:
        known = traced_of(self.frame_config)
        latest = 0
        for change in self.schedule:
            if change.env_steps <= latest:
                raise ValueError(
                    "`schedule` must be in the order of `env_steps`, each above the one before, "
                    f"but {change.env_steps} follows {latest}."
                )
            latest = change.env_steps
            for name in change.settings:
                if name not in known:
                    raise ValueError(
                        "`schedule` must name settings that can change in training, but "
                        f"'{name}' cannot.{did_you_mean(name, known)} Those that can: "
                        f"{', '.join(known)}."
                    )
                if known[name] is None:
                    raise ValueError(
                        f"`schedule` must change numbers, but '{name}' is null at first. Set it in "
                        "`frame_config`."
                    )
            self.at(latest)
        return self

    def num_changes(self, env_steps: int) -> int:
        """Returns how many changes of the schedule are due after `env_steps`."""
        return sum(change.env_steps <= env_steps for change in self.schedule)

    def at(self, env_steps: int) -> TrialConfig:
        """Returns the config with `frame_config` as it is in force after `env_steps`.

        Raises:
            ConfigError: a value of the schedule breaks a rule.
        """
        due = self.schedule[: self.num_changes(env_steps)]
        if not due:
            return self
        plain = self.frame_config.model_dump()
        for name, value in (item for change in due for item in change.settings.items()):
            *sections, last = name.split(".")
            section = plain
            for key in sections:
                section = section[key]
            section[last] = value
        frame_config = build(type(self.frame_config), plain, "schedule")
        return self.model_copy(update={"frame_config": frame_config})

    @classmethod
    def of(cls, data: Mapping[str, Any] | TrialConfig) -> TrialConfig:
        """Validates a plain dictionary in the shape of a config.json.

        Raises:
            ConfigError: naming each field that is wrong, its value and the rule.
        """
        config = build(cls, data)
        try:
            config.to_dict()
        except PydanticSerializationError as error:
            raise ConfigError(
                f"A config must hold plain values and importable classes, so that a trial can be "
                f"repeated, but: {error}. "
                "Give functions a home in a class of your own, and name that."
            ) from None
        return config

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values that `json.dumps` takes; classes become importable names."""
        plain: dict[str, Any] = self.model_dump(mode="json")
        return plain


def _config_of(kind: registry.Registry, name: str, base: type[ConfigT]) -> type[ConfigT]:
    found = kind.get(name)
    model = getattr(found, "Config", None)
    if not (isinstance(model, type) and issubclass(model, base)):
        raise ConfigError(
            f"'{name}' must be a {kind.kind} class whose Config extends {base.__name__}, "
            f"but is {found!r}."
        )
    return model


def _word(data: Mapping[str, Any], key: str, default: str) -> str:
    return str(data.get(key, default))
