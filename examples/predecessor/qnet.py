"""The Q network that the predecessor's config names; it lies beside the config."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["QNet"]


class QNet(nn.Module):
    """Values `(B, 2)` of CartPole's two actions in states `(B, 4)`."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 16)
        self.fc2 = nn.Linear(16, 16)
        self.fc3 = nn.Linear(16, 2)

    def forward(self, state: Tensor) -> Tensor:
        """Returns one value for each action."""
        hidden = F.relu(self.fc1(state))
        hidden = F.relu(self.fc2(hidden))
        values: Tensor = self.fc3(hidden)
        return values
