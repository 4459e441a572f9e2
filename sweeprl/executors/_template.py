"""What the process has imported that workers are forked from."""

from __future__ import annotations

import gc

from sweeprl.executors import _worker as _worker

__all__: list[str] = []

gc.freeze()  # a pass over what was imported would copy it into every worker, and delay the end
