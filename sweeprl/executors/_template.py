"""What the process has imported that workers are forked from."""

from __future__ import annotations

import gc
import os

from sweeprl.executors._worker import unblock

__all__: list[str] = []

gc.freeze()  # a pass over what was imported would copy it into every worker, and delay the end
os.register_at_fork(after_in_child=unblock)  # the process itself hears no signals
