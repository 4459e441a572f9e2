"""Twenty-four trials as lanes of one engine, the hopeless ones stopped half-way.

python examples/lanes.py [folder]
"""

from __future__ import annotations

import sys
from pathlib import Path

import sweeprl

MAX_ENV_STEPS = 3000
TRIALS = 24
LANES = 12


class HalvingReporter(sweeprl.MemoryReporter):
    """Stops a trial at half its budget if more than half of the trials did better there."""

    at_half: list[float] = []
    """Scores of all trials at half their budget, so far."""

    def should_stop(self) -> bool:
        """Whether to give the lane to another trial."""
        score = self.scores.get(MAX_ENV_STEPS // 2)
        if score is None or max(self.scores) > MAX_ENV_STEPS // 2:
            return False
        self.at_half.append(score)
        return sum(other > score for other in self.at_half) > len(self.at_half) / 2


def base(folder: Path) -> sweeprl.TrialConfig:
    """What all trials share."""
    config = sweeprl.generate_algorithm_config("DQN")
    config["frame_config"].update(
        batch_size=32,
        warmup_steps=200,
        exploration_steps=1500,
        model_kwargs=[dict(hidden=[32])] * 2,
    )
    config = sweeprl.generate_env_config("torch", config, env_name="CartPole-v1")
    plain = sweeprl.generate_training_config(
        root_dir=str(folder), config=config, max_env_steps=MAX_ENV_STEPS, report_every_env_steps=500
    )
    return sweeprl.TrialConfig.of(plain)


def main() -> None:
    """Trains them and shows the best."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("trial/lanes")
    config = base(folder)
    reporters = [HalvingReporter() for _ in range(TRIALS)]
    trials = (
        sweeprl.Trial(
            sweeprl.merge(
                config,
                {
                    "learning_rate": 1e-4 * 10 ** (2 * number / TRIALS),
                    "seed": number,
                    "root_dir": str(folder / f"trial-{number:02}"),
                },
            ),
            reporter,
        )
        for number, reporter in enumerate(reporters)
    )
    sweeprl.LanesExecutor(num_lanes=LANES).run(trials)
    ended = [(reporter.outcome, number) for number, reporter in enumerate(reporters)]
    finished = [(o.score, n) for o, n in ended if o is not None and o.status == "finished"]
    print(f"{len(finished)} finished, {TRIALS - len(finished)} were stopped half-way")
    score, best = max(finished)
    print(f"best: trial {best} with score {score:.1f}; play it with:")
    print(f"sweeprl evaluate {folder / f'trial-{best:02}'}")


if __name__ == "__main__":
    main()
