"""Stops the local clouds under one folder as far as that can be done; deletes no data.

A killed test, campaign or benchmark leaves its own behind; so does a place.json that is damaged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from localcloud import services
from localcloud.docker import network
from localcloud.errors import CopiedPlaceError, DockerUnavailableError, LocalCloudError
from localcloud.place import PLACE_FILE, load_place
from localcloud.processes import Supervised

Report = Callable[[str], None]


def clouds(folder: Path) -> list[Path]:
    """Return the folders of the local clouds here: that of `make up`, those of tests and others."""
    if not folder.is_dir():
        return []
    return [one for one in (folder, *sorted(folder.iterdir())) if _holds_cloud(one)]


def still_running(folder: Path) -> list[str]:
    """Return the names of the services of one local cloud that run now."""
    return list(_supervised(folder).recorded())


def clear(folder: Path, report: Report = print) -> list[str]:
    """Stop one local cloud; return what could not be done, a sentence each. Raises nothing.

    Where `stop` fails, its processes are ended by their pid files, and its containers and network
    are removed by the place that its file, readable or not, names.
    """
    path = folder / PLACE_FILE
    try:
        if path.exists():
            services.stop(report, place=load_place(folder))
            return []
    except CopiedPlaceError:
        return []  # its pid files and labels name what is another's
    except (LocalCloudError, OSError) as error:
        report(str(error))
    for name in _supervised(folder).stop_recorded():
        report(f"{name}: stopped")
    place_id = _place_id(path)
    if place_id is None:
        return [_nameless(path)]
    try:
        network.remove_containers(place_id)
        network.remove_network(place_id)
    except DockerUnavailableError:
        return []  # no daemon runs, so nothing is left on one
    except LocalCloudError as error:
        return [str(error)]
    return []


def _holds_cloud(folder: Path) -> bool:
    return (folder / PLACE_FILE).exists() or (folder / "run").is_dir()


def _supervised(folder: Path) -> Supervised:
    return Supervised(run_folder=folder / "run", log_folder=folder / "log")


def _nameless(path: Path) -> str:
    return (
        f"{path} does not say which containers and network are its own: `docker network ls "
        f"--filter label={network.PLACE_LABEL}` shows all; remove what is left over"
    )


def _place_id(path: Path) -> str | None:
    try:
        found = re.search(
            r'"place_id":\s*"([0-9a-f]{8})"', path.read_text(encoding="utf-8", errors="replace")
        )
    except OSError:
        return None
    return found[1] if found else None
