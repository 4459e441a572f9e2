import pytest
import torch

from sweeprl.errors import ConfigError
from sweeprl.launcher import choose_device


@pytest.mark.parametrize("gpus", [None, 0, [], ""])
def test_none_is_the_cpu(gpus):
    assert choose_device(gpus) == torch.device("cpu")


def test_auto_is_the_first_gpu_or_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda", 0)


@pytest.mark.parametrize("gpus", [[1], "1", "1,"])
def test_an_index_names_a_gpu(gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device(gpus) == torch.device("cuda", 1)


@pytest.mark.parametrize(
    "gpus, message",
    [
        ([2], "GPU 2 must be visible, but this machine shows 2 GPUs"),
        ([0, 1], "trains on one device"),
        (2, "trains on one device"),
        ("first", "indices such as"),
        (-1, "must not be negative, but got -1"),
    ],
)
def test_what_cannot_be_is_refused(gpus, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=message):
        choose_device(gpus)
