"""`make test-official PROVIDERS=folder`: the tests of the whole line, with other provider plugins.

The rest of the local cloud is as ever: these answer the official plugins as the vendors would.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localcloud.pulumi.engine import EngineError, ensure_engine
from localcloud.pulumi.plugins.install import PROVIDERS, PluginInstallError, providers_in
from tests import ROOT

NAMED = (
    "set PROVIDERS to a folder that has pulumi-resource-cloudflare, pulumi-resource-docker and "
    "pulumi-resource-command, or to Pulumi's own folder of plugins: "
    "make test-official PROVIDERS=~/.pulumi/plugins"
)


def main(folder: str = "", *arguments: str) -> int:
    """Run the tests with the folder's plugins; return pytest's exit status, 2 when there are none.

    What is not given after the folder is pytest's.
    """
    if not folder.strip():
        return _refuse(f"PROVIDERS is not set: {NAMED}")
    try:
        for name, program in providers_in(Path(folder).expanduser().absolute()).items():
            print(f"test-official: {name}: {program}", flush=True)
        ensure_engine(print)
    except PluginInstallError as error:
        return _refuse(f"{error} {NAMED[0].upper()}{NAMED[1:]}")
    except EngineError as error:
        return _refuse(str(error))
    os.environ[PROVIDERS] = str(Path(folder).expanduser().absolute())
    return pytest.main([str(ROOT / "tests" / "e2e"), *arguments])


def _refuse(why: str) -> int:
    print(f"test-official: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
