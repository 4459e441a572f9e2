"""A sweep in a process of its own, for tests to treat badly: `python -m tests.sweeps.victim JSON`.

It prints every event as a line of JSON; a report's line means that the study has it.
"""

from __future__ import annotations

import json
import sys

from sweeprl.search_spaces import Float, SearchSpace
from sweeprl.sweeps import Sweep
from tests.executors.conftest import small_config, wrapped_config

SPACE = SearchSpace(parameters={"learning_rate": Float(1e-4, 1e-2, log=True)})


class Lines:
    def show(self, event, progress):
        print(json.dumps(event), flush=True)  # noqa: T201


def main(root_dir, trials, trial, wrapper=None, **settings):
    trial = {"checkpoint_every_seconds": 0.2, **trial}
    config = small_config("unused", **trial)
    if wrapper is not None:
        config = wrapped_config("unused", wrapper, **trial)
    sweep = Sweep(config, SPACE, trials, root_dir=root_dir, view=Lines(), **settings)
    result = sweep.run()
    sys.exit(0 if result.status == "finished" else 143)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
