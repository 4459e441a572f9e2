"""What a trial finds around it: few threads, no noise, and a disk that may be full."""

from __future__ import annotations

import ctypes
import errno
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import gymnasium as gym
import torch

from sweeprl.errors import StorageFailed

__all__ = ["keep_memory", "quiet", "storage_guarded", "threads"]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Limits torch to `count` CPU threads while the context lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def keep_memory() -> Iterator[None]:
    """Lets the C library keep freed memory, where it is the GNU one.

    By default it gives blocks above 128 KiB back to the system, whose pages then have to be
    fetched and cleared anew for every intermediate result of many lanes.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        yield
        return
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, 2**30)
    yield  # there is no way back to the defaults, and no harm in staying


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""


@contextmanager
def storage_guarded() -> Iterator[None]:
    """Turns a full disk into a reason for the trial's end."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise
        raise StorageFailed(
            f"Results could not be written: {error}. Free some space, then go on with --resume, or "
            "a sweep with the same command."
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps from users what Lightning and Gymnasium tell about matters that sweeprl decides."""
    names = ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    gym_level = gym.logger.min_level
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    gym.logger.min_level = gym.logger.ERROR
    with warnings.catch_warnings():
        for module in (
            "pytorch_lightning",
            "lightning_fabric",
            "gymnasium",
            "moviepy",
            "pygame",
            "pkg_resources",
        ):
            warnings.filterwarnings("ignore", module=module)
        warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\).*")
        try:
            yield
        finally:
            gym.logger.min_level = gym_level
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
