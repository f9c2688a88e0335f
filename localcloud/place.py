"""Where this checkout's local cloud lives: folders, ports, subnet and keys, chosen once and kept.

Stack state holds these addresses, so they never change by themselves; `make purge` forgets them.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import socket
import string
import zlib
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from localcloud.errors import CopiedPlaceError, LocalCloudError

CHECKOUT = Path(__file__).resolve().parent.parent
ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral ports (32768 and up), so that no outgoing connection can sit on one.
PORT_RANGE = range(20000, 32000)
PORT_NAMES = (
    "s3",
    "s3_grpc",
    "weed_master",
    "weed_master_grpc",
    "weed_volume",
    "weed_volume_grpc",
    "weed_filer",
    "weed_filer_grpc",
    "registry",
    "caas",
    "cloudflare",
    "mirror",
)
PLACE_FILE = "place.json"
SCHEMA = 1


@dataclass(frozen=True)
class Place:
    """One checkout's local cloud. Everything that others store (state, images) derives from it."""

    directory: Path
    place_id: str
    subnet: str
    ports: dict[str, int]
    operator_token_id: str
    ionet_api_key: str = field(repr=False)
    operator_token: str = field(repr=False)
    registry_secret: str = field(repr=False)
    registry_username: str = "trainstack"

    @property
    def network(self) -> str:
        """Name of the Docker bridge network that run containers join."""
        return f"trainstack-{self.place_id}"

    @property
    def gateway(self) -> str:
        """Address of the host on that network; host and containers both reach it."""
        return str(next(ipaddress.ip_network(self.subnet).hosts()))

    @property
    def log_folder(self) -> Path:
        return self.directory / "log"

    @property
    def run_folder(self) -> Path:
        return self.directory / "run"

    @property
    def env_path(self) -> Path:
        return self.directory / "env"

    @property
    def operator_s3_secret(self) -> str:
        """The operator's S3 secret, derived as Cloudflare derives it."""
        return sha256(self.operator_token.encode()).hexdigest()

    @property
    def s3_url(self) -> str:
        return f"http://{self.gateway}:{self.ports['s3']}"

    @property
    def mirror_url(self) -> str:
        return f"http://{self.gateway}:{self.ports['mirror']}"

    @property
    def caas_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['caas']}"

    @property
    def cloudflare_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['cloudflare']}/client/v4"

    @property
    def registry_server(self) -> str:
        return f"{LOOPBACK}:{self.ports['registry']}"


def local_folder() -> Path:
    """Return the git-ignored folder of the local world (`TRAINSTACK_LOCAL_DIR` overrides it)."""
    named = os.environ.get("TRAINSTACK_LOCAL_DIR")
    return Path(named).absolute() if named else CHECKOUT / ".local"


def cache_folder() -> Path:
    """Return the per-user cache that all checkouts share."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "trainstack"


def load_place(folder: Path | None = None) -> Place:
    """Return this checkout's place; choose ports, subnet and keys on the first call ever.

    Raises LocalCloudError when the file is damaged, CopiedPlaceError when it is the copy of a place
    that is still there: each of both would stop the other's processes and containers.
    """
    folder = folder or local_folder()
    path = folder / PLACE_FILE
    if path.exists():
        return _read(path)
    folder.mkdir(parents=True, exist_ok=True)
    place = _choose(folder)
    # A link from a finished file: of two first starts at once, one wins and both then agree.
    draft = folder / f".place.{os.getpid()}.{secrets.token_hex(4)}"
    _write_private(draft, _encode(place))
    try:
        os.link(draft, path)
    except FileExistsError:
        place = _read(path)
    finally:
        draft.unlink()
    return place


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write_private(draft, text)
    draft.replace(path)


def new_cloudflare_token(prefix: str = "cfat_") -> str:
    """Return a token of Cloudflare's shape: prefix, 40 characters, 8 hex digits of checksum."""
    body = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))
    return f"{prefix}{body}{zlib.crc32(body.encode()):08x}"


def _choose(folder: Path) -> Place:
    return Place(
        directory=folder,
        place_id=secrets.token_hex(4),
        subnet=_free_subnet(),
        ports=_free_ports(),
        operator_token_id=secrets.token_hex(16),
        ionet_api_key=f"local-{secrets.token_urlsafe(32)}",
        operator_token=new_cloudflare_token(),
        registry_secret=secrets.token_urlsafe(24),
    )


def _free_ports() -> dict[str, int]:
    """Return ports that nobody holds on any address, in one block that is easy to read."""
    for _ in range(200):
        first = secrets.choice(range(PORT_RANGE.start, PORT_RANGE.stop - 20, 20))
        block = range(first, first + len(PORT_NAMES))
        with ExitStack() as held:
            try:
                for port in block:
                    probe = held.enter_context(socket.socket())
                    probe.bind(("0.0.0.0", port))  # noqa: S104 - a probe that never listens
            except OSError:
                continue
        return dict(zip(PORT_NAMES, block, strict=True))
    raise LocalCloudError(
        f"no {len(PORT_NAMES)} free ports side by side between {PORT_RANGE.start} and "
        f"{PORT_RANGE.stop}: too much is listening on this machine; stop some of it and try again"
    )


def _free_subnet() -> str:
    """Return a /24 of 10.128.0.0/9 that this machine has no route into."""
    routed = _routed_networks()
    for _ in range(200):
        subnet = ipaddress.ip_network(
            f"10.{128 + secrets.randbelow(128)}.{secrets.randbelow(256)}.0/24"
        )
        if not any(subnet.overlaps(network) for network in routed):
            return str(subnet)
    raise LocalCloudError(
        "no free /24 in 10.128.0.0/9 for the containers' network: this machine routes all of it "
        "elsewhere (a VPN?). Leave the VPN for the first start only: what is chosen then is kept"
    )


def _routed_networks() -> list[ipaddress.IPv4Network]:
    networks: list[ipaddress.IPv4Network] = []
    try:
        rows = Path("/proc/net/route").read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return networks
    for row in rows:
        columns = row.split()
        address, mask = (int.from_bytes(bytes.fromhex(columns[i])[::-1]) for i in (1, 7))
        if mask:  # the default route covers everything and says nothing
            networks.append(ipaddress.IPv4Network((address, str(ipaddress.IPv4Address(mask)))))
    return networks


def _encode(place: Place) -> str:
    content = asdict(place) | {"schema": SCHEMA, "directory": str(place.directory)}
    return json.dumps(content, indent=2) + "\n"


def _read(path: Path) -> Place:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema") != SCHEMA:
            raise ValueError("made by another version")
        made_in = content.pop("directory", None)
        place = Place(directory=path.parent, **content)
        if set(PORT_NAMES) - set(place.ports):
            raise ValueError("a port is missing")
    except (ValueError, KeyError, TypeError) as error:
        raise LocalCloudError(
            f"{path} cannot be read: {error}. It holds this checkout's ports and keys; put it back "
            "from a copy, or run `make purge` to start anew without what was trained here"
        ) from error
    if made_in == str(path.parent):
        return place
    if made_in is not None and _is_another(Path(made_in) / PLACE_FILE, path, place.place_id):
        raise CopiedPlaceError(
            f"{path.parent} is a copy of {made_in}, which is still there: its ports, processes and "
            "containers are that one's. `make purge` deletes the copy and leaves those alone"
        )
    write_private(path, _encode(place))  # the checkout was moved
    return place


def _is_another(original: Path, path: Path, place_id: str) -> bool:
    try:
        text = original.read_text(encoding="utf-8", errors="replace")
        return place_id in text and not original.samefile(path)
    except OSError:
        return False


def _write_private(path: Path, text: str) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    # A path in it may be no UTF-8: it goes back to the bytes that it was read from.
    with os.fdopen(opened, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
