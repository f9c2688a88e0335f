"""The data set mirror: a file server over the rehearsal's shards. Stands in for a public mirror.

GET /manifest.json, /shard_NNNNN.jsonl.gz (ranges too), /conversations.jsonl.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from localcloud.datasets.corpus import build_corpus
from localcloud.place import Place
from localcloud.probe import answers
from localcloud.processes import Service


def mirror_service(place: Place) -> Service:
    """Declare the mirror; its first start builds the data set."""
    here = Path(__file__)
    return Service(
        name="mirror",
        purpose="data set mirror",
        address=place.mirror_url,
        command=[
            sys.executable,
            "-m",
            "localcloud.datasets.mirror",
            f"--host={place.gateway}",
            f"--port={place.ports['mirror']}",
            f"--folder={place.directory / 'mirror'}",
        ],
        healthy=lambda: answers(f"{place.mirror_url}/manifest.json"),
        ports=[place.ports["mirror"]],
        sources=[here, here.with_name("corpus.py")],
        start_timeout_s=60,
    )


def create_app(folder: Path) -> Starlette:
    """Return the mirror over a folder that `build_corpus` made."""
    return Starlette(routes=[Mount("/", StaticFiles(directory=folder))])


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    folder: Annotated[Path, typer.Option(help="Where the data set lies or is made.")] = Path(
        ".local/mirror"
    ),
) -> None:
    """Serve the rehearsal's data set, building it first if it is not there."""
    app = create_app(build_corpus(folder))
    uvicorn.run(app, host=host, port=port, access_log=False, timeout_graceful_shutdown=2)


if __name__ == "__main__":
    typer.run(main)
