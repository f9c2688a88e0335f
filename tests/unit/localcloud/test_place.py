"""Ports, subnet and keys are chosen once per checkout and never move by themselves."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localcloud.errors import CopiedPlaceError, LocalCloudError
from localcloud.place import PORT_NAMES, load_place, local_folder


def test_the_second_load_gives_what_the_first_chose(tmp_path: Path) -> None:
    assert load_place(tmp_path) == load_place(tmp_path)


def test_two_first_loads_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        places = list(pool.map(load_place, [tmp_path] * 8))
    assert all(place == places[0] for place in places)
    assert [path.name for path in tmp_path.iterdir()] == ["place.json"]


def test_two_checkouts_differ_in_everything_that_could_collide(tmp_path: Path) -> None:
    one, other = load_place(tmp_path / "a"), load_place(tmp_path / "b")
    assert one.network != other.network
    assert one.operator_token != other.operator_token
    assert one.registry_secret != other.registry_secret


def test_every_service_has_a_port_of_its_own_that_is_free_now(tmp_path: Path) -> None:
    ports = load_place(tmp_path).ports
    assert set(ports) == set(PORT_NAMES) and len(set(ports.values())) == len(ports)
    for port in ports.values():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_the_gateway_is_the_first_address_of_the_subnet(tmp_path: Path) -> None:
    place = load_place(tmp_path)
    subnet = ipaddress.ip_network(place.subnet)
    assert ipaddress.ip_address(place.gateway) == subnet.network_address + 1


def test_keys_are_readable_by_their_owner_only_and_in_no_repr(tmp_path: Path) -> None:
    place = load_place(tmp_path)
    assert (tmp_path / "place.json").stat().st_mode & 0o077 == 0
    for secret in (place.operator_token, place.ionet_api_key, place.registry_secret):
        assert secret not in repr(place)


def test_the_operators_token_has_cloudflares_shape(tmp_path: Path) -> None:
    assert re.fullmatch(r"cfat_[A-Za-z0-9]{40}[0-9a-f]{8}", load_place(tmp_path).operator_token)


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 99}', "not json"])
def test_a_damaged_file_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "place.json").write_text(content)
    with pytest.raises(LocalCloudError, match="make purge"):
        load_place(tmp_path)


def test_a_file_that_lacks_a_port_is_refused_and_not_completed_silently(tmp_path: Path) -> None:
    load_place(tmp_path)
    content = json.loads((tmp_path / "place.json").read_text())
    del content["ports"]["caas"]
    (tmp_path / "place.json").write_text(json.dumps(content))
    with pytest.raises(LocalCloudError, match="a port is missing"):
        load_place(tmp_path)


def test_the_folder_can_be_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINSTACK_LOCAL_DIR", str(tmp_path / "elsewhere"))
    assert local_folder() == tmp_path / "elsewhere"


def test_a_place_that_was_moved_is_the_same_in_its_new_folder(tmp_path: Path) -> None:
    first = load_place(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    moved = load_place(tmp_path / "b")
    assert (moved.place_id, moved.ports) == (first.place_id, first.ports)
    assert moved.directory == tmp_path / "b"
    load_place(tmp_path / "a")  # what is made there now is no original
    assert load_place(tmp_path / "b") == moved


def test_a_copy_of_a_place_does_not_act_for_the_original(tmp_path: Path) -> None:
    """Its `stop` ended the original's containers, its `start` met the original's ports."""
    load_place(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    with pytest.raises(CopiedPlaceError, match=r"is a copy of .*`make purge` deletes the copy"):
        load_place(tmp_path / "b")
    shutil.rmtree(tmp_path / "a")
    assert load_place(tmp_path / "b").directory == tmp_path / "b"


def test_a_place_by_another_name_of_its_folder_is_no_copy(tmp_path: Path) -> None:
    place = load_place(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert load_place(tmp_path / "link").ports == place.ports


def test_ports_are_found_once_less_is_listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        raise OSError("held")

    with monkeypatch.context() as crowded:
        crowded.setattr(socket.socket, "bind", held)
        with pytest.raises(LocalCloudError, match="stop some of it and try again"):
            load_place(tmp_path)
    assert load_place(tmp_path).ports
