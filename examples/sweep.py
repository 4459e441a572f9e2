"""Tunes DQN from Python, confirms the winner, and shows how a study of one's own is used.

python examples/sweep.py --trials 16 --max-env-steps 10000
"""

from __future__ import annotations

import argparse

import optuna

import sweeprl


def main() -> None:
    """Runs a sweep, and a few trials of a study with the same config and space."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--max-env-steps", type=int, default=10_000)
    parser.add_argument("--root-dir", default="sweep/python")
    arguments = parser.parse_args()

    config = sweeprl.generate_algorithm_config("DQN")
    config = sweeprl.generate_env_config(
        "gymnasium", config, env_name="CartPole-v1", render_every_episode=0
    )
    config = sweeprl.generate_training_config(
        root_dir=f"{arguments.root_dir}/study", config=config, max_env_steps=arguments.max_env_steps
    )
    base = sweeprl.TrialConfig.of(config)
    space = sweeprl.SearchSpace.of_config(base).only("learning_rate", "discount", "batch_size")

    result = sweeprl.Sweep(
        base, space, arguments.trials, root_dir=f"{arguments.root_dir}/sweep"
    ).run()
    for standing in result.standings:
        print(f"trial {standing.number}: {standing.value:.1f} on {len(standing.scores)} seeds")
    assert result.winner is not None
    print(f"winner: trial {result.winner.number} with {result.winner.params}")

    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.HyperbandPruner())
    study.optimize(sweeprl.OptunaObjective(base, space), n_trials=2)
    print(f"a study of one's own: {study.best_value:.1f}")


if __name__ == "__main__":
    main()
