"""Executors that train nothing: functions say how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sweeprl.config import TrialConfig
from sweeprl.launcher import TrialRecord
from sweeprl.trials import Tally


def quality(config: TrialConfig) -> float:
    """Best at a learning rate of 1e-3; deterministic, but for a little luck of the seed."""
    rate = config.frame_config.learning_rate
    return 100.0 - 40.0 * abs(rate / 1e-3 - 1) + (config.seed * 7919 % 11 - 5) / 5


@dataclass
class FakeExecutor:
    """Goes through the grid of each trial, several at a time."""

    score: Callable[[TrialConfig], float | None] = quality
    ending: Callable[[TrialConfig], tuple[str, str] | None] = lambda config: None
    """How a seed ends after its first report, if not by itself: status and reason."""
    at_once: int = 1
    stop_after: int | None = None
    """Seeds after which a signal comes."""
    trained: list[TrialConfig] = field(default_factory=list)
    was_stopped: bool = False

    def run(self, trials):
        trials = iter(trials)
        running = []
        while True:
            while len(running) < self.at_once and not self.was_stopped:
                trial = next(trials, None)
                if trial is None:
                    break
                tally = Tally(trial, len(trial.configs()))
                running += [(tally, config, self._go(tally, config)) for config in trial.configs()]
            if not running:
                return
            for entry in list(running):
                tally, config, steps = entry
                try:
                    next(steps)
                except StopIteration as end:
                    running.remove(entry)
                    self.trained.append(config)
                    tally.finish(end.value)
            if self.stop_after is not None and len(self.trained) >= self.stop_after:
                self.was_stopped = True
                for tally, config, _ in running:
                    tally.finish(ended(config, "stopped", "signal 15", 0, None))
                return

    def close(self):
        pass

    def _go(self, tally, config):
        every, budget = config.report_every_env_steps, config.max_env_steps
        score = self.score(config)
        for step in range(every, budget + 1, every):
            tally.report(step, score * step / budget if score is not None else 0.0)
            ending = self.ending(config)
            if ending is not None:
                return ended(config, *ending, step, None)
            if tally.should_stop:
                return ended(config, "pruned", tally.reason, step, score)
            yield
        return ended(config, "finished", "the budget is spent", budget, score)


def ended(config, status, reason, env_steps, score):
    record = TrialRecord.begun(config, "", 0.0)
    update = {"status": status, "reason": reason, "env_steps": env_steps, "score": score}
    return record.model_copy(update={**update, "seconds": 0.5})
