"""When to strike: each arms itself before the run is rented, and then waits for its moment."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Literal

from tests.campaign.rented import Run
from tests.campaign.started import Started

FREEZES_WITHIN_S = 300
Wait = Callable[[], None]
Moment = Callable[[Run], Wait]


def says(*texts: str) -> Moment:
    """When the container has said one text after the other."""

    def arm(run: Run) -> Wait:
        def wait() -> None:
            for text in texts:
                run.started[-1].says(text)

        return wait

    return arm


def there(key: str, *, then: str = "") -> Moment:
    """When an object is in the bucket, and after that the container has said a text."""

    def arm(run: Run) -> Wait:
        def wait() -> None:
            run.there(key)
            if then:
                run.started[-1].says(then)

        return wait

    return arm


def held(
    method: str,
    *parts: str,
    of: Literal["store", "mirror"] = "store",
    there: str = "",
    then: str = "",
) -> Moment:
    """When a request is on its way that will not arrive; its path has all parts.

    `there`: and this object is in the bucket; `then`: and this was said.
    """

    def arm(run: Run) -> Wait:
        proxy = run.store if of == "store" else run.mirror
        hold = proxy.hold(lambda m, path: m == method and all(part in path for part in parts))

        def wait() -> None:
            run.until(lambda: hold.reached.is_set() or run.is_over(), what=f"{method} {parts}")
            assert hold.reached.is_set(), f"it ended without {method} {parts}\n{run.story()}"
            if there:
                run.there(there)
            if then:
                run.started[-1].says(then)

        return wait

    return arm


def second_part_held(file: str) -> Moment:
    """When the first part of a file's upload has arrived and the second has not."""

    def arm(run: Run) -> Wait:
        wait_for_hold = held("PUT", file, "partNumber=2")(run)

        def wait() -> None:
            wait_for_hold()
            run.until(lambda: 1 in _parts(run, file), what="part 1 arrives")
            assert 2 not in _parts(run, file)

        return wait

    return arm


def half_written(file: str, *, program: str) -> Moment:
    """When a file below the work folder is being written: its program is frozen in the middle."""

    def arm(run: Run) -> Wait:
        return lambda: freeze(run.started[-1], program, while_there=f"/workspace/{file}")

    return arm


def freeze(one: Started, program: str, *, while_there: str = "/workspace") -> None:
    """Stop a program's processes in a container, when and while a file is there.

    Fails when that moment does not come within FREEZES_WITHIN_S: a program of another name would
    be waited for for ever.
    """
    code = textwrap.dedent(
        f"""
        import glob, os, signal, time

        def tell(number):
            told = 0
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                pid = int(path.split("/")[2])
                try:
                    if pid != os.getpid() and {program.encode()!r} in open(path, "rb").read():
                        os.kill(pid, number)
                        told += 1
                except OSError:
                    pass
            return told

        deadline = time.monotonic() + {FREEZES_WITHIN_S}
        while True:
            if time.monotonic() > deadline:
                raise SystemExit("{program} was not seen while {while_there} was there")
            if os.path.exists({while_there!r}):
                if tell(signal.SIGSTOP) and os.path.exists({while_there!r}):
                    break
                tell(signal.SIGCONT)
            time.sleep(0.0005)  # polls a condition
        """
    )
    found = one.container.exec_run(["python3", "-c", code])
    assert found.exit_code == 0, found.output


def _parts(run: Run, file: str) -> list[int]:
    client, name = run.bucket.client, run.bucket.name
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
        key = upload.get("Key", "")
        if key.endswith(file):
            answer = client.list_parts(Bucket=name, Key=key, UploadId=upload.get("UploadId", ""))
            return [part.get("PartNumber", 0) for part in answer.get("Parts", [])]
    return []
