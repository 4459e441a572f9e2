"""The four steps from Python, with a network of one's own.

python examples/programmatic.py [ROOT_DIR]
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor, nn

from sweeprl import (
    generate_algorithm_config,
    generate_env_config,
    generate_training_config,
    launch,
)


class QNet(nn.Module):
    """Action values `(B, A)` of a state `(B, D)`.

    Args:
        state_dim: D, filled in from the environment.
        action_num: A, filled in from the environment.
        hidden: width of the hidden layer.
    """

    def __init__(self, state_dim: int, action_num: int, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(state_dim, hidden), nn.ReLU(), nn.Linear(hidden, action_num)
        )

    def forward(self, state: Tensor) -> Tensor:
        """Returns one value for each action."""
        values: Tensor = self.layers(state)
        return values


def build_config(root_dir: str) -> dict[str, Any]:
    """Generates a config step by step; between the steps it is a plain dictionary to edit."""
    config = generate_algorithm_config("DQN")
    config["frame_config"]["models"] = [QNet, QNet]
    config["frame_config"]["model_kwargs"] = [{"hidden": 128}, {"hidden": 128}]
    config["frame_config"]["epsilon_decay"] = 0.999
    config = generate_env_config("gymnasium", config)
    return generate_training_config(
        root_dir=root_dir,
        episode_per_epoch=10,
        max_episodes=10000,
        config=config,
        max_env_steps=8000,
        gpus=None,
    )


def main() -> None:
    """Trains and prints what the record says."""
    root_dir = sys.argv[1] if len(sys.argv) > 1 else "trial/programmatic"
    record = launch(build_config(root_dir))
    print(f"{record.status} after {record.env_steps} environment steps")
    print(f"score ({record.score_kind}): {record.score}")
    print(f"mean return of the best checkpoint in the final test: {record.test_return}")
    print(f"results: {root_dir}")


if __name__ == "__main__":
    main()
