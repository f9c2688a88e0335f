"""Run one Pulumi program in this process, as the language host's order on stdin says.

A failure is shown once, by the engine: a RunError as its message, anything else with the
traceback from the program's own first line on. This file is copied beside the engine, so it
imports nothing of this project.
"""

import asyncio
import json
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import pulumi
from pulumi import runtime

REPORTED = 32
"""Exit status of a program whose failure has been shown to the user already."""

_where: dict[int, tuple[BaseException, TracebackType | None]] = {}
"""Each failure of a task by its id, with the traceback that it had first."""


def main() -> int:
    """Run the program; return the exit status."""
    order = json.load(sys.stdin)
    # What the program starts must not wait for an order that has been read.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [order["program"], *order["args"]]
    # This file's folder is first on the path; the program's takes its place.
    sys.path[0] = order["folder"]
    runtime.configure(
        runtime.Settings(
            project=order["project"],
            stack=order["stack"],
            organization=order["organization"],
            monitor=order["monitor"],
            engine=order["engine"],
            parallel=order["parallel"],
            dry_run=order["dry_run"],
            root_directory=order["root"],
        )
    )
    runtime.set_all_config(order["config"], order["secret_keys"])
    # Futures that nobody looks at are usual in a program that stops half-way.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        _run(order["program"], parallel=order["parallel"])
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return REPORTED
    except grpc.RpcError as error:
        # The engine left, and it says why by itself.
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            pulumi.log.error(_traceback(error, root=order["root"]))
        return REPORTED
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        pulumi.log.error(str(end.code))
        return REPORTED
    except Exception as error:  # noqa: BLE001 - the border to the user's program
        pulumi.log.error(_traceback(error, root=order["root"]))
        return REPORTED
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _run(program: str, *, parallel: int) -> None:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(_task_that_remembers)
    asyncio.set_event_loop(loop)
    # The SDK waits for the engine in threads of this pool, one a resource.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=min(256, max(parallel, 4) * 4)))

    def run() -> None:
        runpy.run_path(program, run_name="__main__")

    loop.run_until_complete(runtime.run_in_stack(run))


def _task_that_remembers(
    loop: asyncio.AbstractEventLoop, work: Any, **how: Any
) -> asyncio.Task[Any]:
    # asyncio drops a failed task's traceback once the task has been awaited, and the SDK awaits
    # twice: without this, a failure in an `apply` would show no line of the program at all.
    async def remembering() -> Any:
        try:
            return await work
        except Exception as error:
            _where.setdefault(id(error), (error, error.__traceback__))
            raise

    return asyncio.Task(remembering(), loop=loop, **how)


def _traceback(error: BaseException, *, root: str) -> str:
    _, where = _where.get(id(error), (error, error.__traceback__))
    shown = traceback.TracebackException(type(error), error, where)
    part: traceback.TracebackException | None = shown
    while part is not None:
        for index, frame in enumerate(part.stack):
            if _is_program(frame.filename, root):
                del part.stack[:index]
                break
        else:
            if isinstance(error, SyntaxError):  # nothing of the program has run
                part.stack.clear()
        part = part.__cause__ or part.__context__
    return "".join(shown.format()).rstrip()


def _is_program(file: str, root: str) -> bool:
    if file.startswith("<"):
        return False
    path = Path(os.path.abspath(file))  # noqa: PTH100 - keeps links, as tracebacks do
    return path.is_relative_to(root) and "site-packages" not in path.parts


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads that wait for a cancelled engine would keep a plain exit waiting
