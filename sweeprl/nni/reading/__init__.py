"""What NNI itself knows and says of its experiments: its list, REST interface, database, logs."""

from __future__ import annotations

__all__: list[str] = []
