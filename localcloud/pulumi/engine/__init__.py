"""Gets a Pulumi engine onto a machine that has none. `ensure_engine` is the way in."""

from localcloud.pulumi.engine.errors import EngineError
from localcloud.pulumi.engine.install import VERSION, ensure_engine, found_engine

__all__ = ["VERSION", "EngineError", "ensure_engine", "found_engine"]
