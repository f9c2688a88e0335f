"""What a client of ours takes from its surroundings: a proxy and a CA bundle, no other tool's key.

https://github.com/psf/requests/issues/3929, https://github.com/boto/boto3/issues/4121
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from components import registry
from components.errors import TrainstackError
from components.http_session import make_session
from components.ionet.client import Client as IonetClient
from components.r2 import cloudflare
from container.transport.network import CA_BUNDLES, network_problems, proxies_for, reason_of
from container.transport.r2 import Limits, make_client
from runs.errors import RunsError
from runs.model_client import Chat
from runs.view.follower import read_live_status
from tests.unit.components.header_double import HeaderDouble

KEY = "key-of-ours"
QUICK = Limits(connect_s=2, read_s=2, tries=1, connections=1)


@pytest.fixture
def service() -> Iterator[HeaderDouble]:
    double = HeaderDouble()
    yield double
    double.stop()


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".netrc"
    file.write_text("default login stranger password of-another-tool\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.setenv("HOME", str(tmp_path))


def ionet(url: str) -> None:
    IonetClient(KEY, base_url=url, retry_for_s=0).hardware()


def cloudflares(url: str) -> None:
    cloudflare.Client(KEY, account_id="0" * 32, base_url=url, retry_for_s=0).token_id()


def chat(url: str) -> None:
    list(Chat(status_url=url, token=KEY).say([{"role": "user", "content": "hello"}]))


def page(url: str) -> None:
    read_live_status(url)


def image_registry(url: str) -> None:
    registry.knock(url.removeprefix("http://"), None)


def s3(url: str) -> None:
    make_client(
        endpoint=url, access_key_id=KEY, secret_access_key="s", limits=QUICK
    ).list_objects_v2(Bucket="some-bucket")


Ask = Callable[[str], None]
CALLERS: list[Ask] = [ionet, cloudflares, chat, page, image_registry, s3]


def ask(caller: Ask, url: str) -> None:
    """Send it; what the double answers is of no interest."""
    with suppress(TrainstackError, RunsError, BotoCoreError, ClientError):
        caller(url)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.usefixtures("netrc")
def test_what_a_netrc_holds_replaces_no_key_and_is_sent_to_nobody(
    caller: Ask, service: HeaderDouble
) -> None:
    ask(caller, service.url)
    theirs = base64.b64encode(b"stranger:of-another-tool").decode()
    assert service.requests, "it was asked"
    for request in service.requests:
        assert theirs not in str(request.headers)
    said = str(service.requests[0].headers)
    assert (KEY in said) == (caller in (ionet, cloudflares, chat, s3))


@pytest.mark.parametrize("caller", [ionet, cloudflares, chat, page, s3])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_asked_for_what_is_elsewhere(
    caller: Ask, variable: str, service: HeaderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, service.url.removeprefix("http://"))
    ask(caller, "http://vendor.example:81")
    assert service.requests[0].path.startswith("http://vendor.example:81/")


@pytest.mark.parametrize("caller", CALLERS)
def test_no_proxy_is_asked_for_this_machines_own_services(
    caller: Ask, service: HeaderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    ask(caller, service.url)
    assert service.requests


def test_what_no_proxy_names_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "vendor.example")
    assert proxies_for("https://api.vendor.example/v1") == {}
    assert proxies_for("https://other.example") == {"https": "http://proxy.example:3128"}


OF_ANOTHER_TOOL = {
    "AWS_PROFILE": "gone",
    "AWS_DEFAULT_PROFILE": "gone",
    "AWS_CONFIG_FILE": "/gone/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/gone/credentials",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
    "AWS_MAX_ATTEMPTS": "many",
    "AWS_RETRY_MODE": "bold",
    "AWS_DEFAULTS_MODE": "bold",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "sometimes",
    "AWS_SESSION_TOKEN": "of-another-tool",
    "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "few",
    "AWS_SDK_UA_APP_ID": "of-another-tool",
}


@pytest.mark.parametrize("variable", sorted(OF_ANOTHER_TOOL))
def test_a_setting_of_the_aws_tools_changes_no_call(
    variable: str, service: HeaderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, OF_ANOTHER_TOOL[variable])
    ask(s3, service.url)
    assert [request.path.split("?")[0] for request in service.requests] == ["/some-bucket"]
    assert "of-another-tool" not in str(service.requests[0].headers)


def test_an_aws_profile_changes_no_call(
    tmp_path: Path, service: HeaderDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    config = "[default]\nendpoint_url = http://127.0.0.1:1\ns3 =\n  addressing_style = virtual\n"
    (tmp_path / ".aws" / "config").write_text(config)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_CONFIG_FILE", raising=False)
    ask(s3, service.url)
    assert service.requests[0].path.startswith("/some-bucket?")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_what_redirects_everything_is_asked_once(status: int, service: HeaderDouble) -> None:
    """As a hotel's login page does: the S3 client asked it for a region without an end."""
    service.status = status
    ask(s3, service.url)
    assert len(service.requests) == 1


@pytest.mark.parametrize("variable", CA_BUNDLES)
def test_every_client_trusts_the_environments_ca_bundle(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CA_BUNDLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "/etc/own-ca.pem")
    with make_session() as session:
        merged = session.merge_environment_settings("https://a.example", {}, None, None, None)
        assert merged["verify"] == "/etc/own-ca.pem"
    client = make_client(endpoint="https://a.example", access_key_id="a", secret_access_key="b")
    # botocore shows what it verifies by nowhere else.
    assert client._endpoint.http_session._verify == "/etc/own-ca.pem"  # type: ignore[attr-defined]


MUST_BE_A_PROXY = (
    "must be the address of an HTTP proxy, such as http://proxy.example:3128, or unset"
)
MUST_BE_A_BUNDLE = "must be a PEM file of CA certificates, or unset"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HTTPS_PROXY", "http://me:secret@", "what it holds is no address"),
        ("https_proxy", "http://me:secret@proxy:port", "what it holds is no address"),
        ("HTTP_PROXY", "secret proxy", "what it holds is no address"),
        ("http_proxy", "http://[::secret", "what it holds is no address"),
        ("ALL_PROXY", "socks5://me:secret@proxy", "a proxy by socks5:// is not supported"),
    ],
)
def test_a_proxy_that_cannot_be_asked_is_named_without_what_it_holds(
    variable: str, value: str, said: str
) -> None:
    assert network_problems({variable: value}) == [f"{variable}: {said}; {MUST_BE_A_PROXY}"]


@pytest.mark.parametrize("variable", CA_BUNDLES)
def test_a_ca_bundle_that_cannot_be_read_is_named(variable: str, tmp_path: Path) -> None:
    gone, other = tmp_path / "gone.pem", tmp_path / "other.pem"
    other.write_text("no certificate")
    assert network_problems({variable: str(gone)}) == [
        f"{variable} = {gone}: no such file or directory; {MUST_BE_A_BUNDLE}"
    ]
    assert network_problems({variable: str(other)}) == [
        f"{variable} = {other}: holds no certificate that OpenSSL can read; {MUST_BE_A_BUNDLE}"
    ]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTPS_PROXY": "", "REQUESTS_CA_BUNDLE": ""},
        {"HTTPS_PROXY": "proxy.example:3128", "http_proxy": " http://proxy.example "},
        {"ALL_PROXY": "https://me:secret@proxy.example"},
    ],
)
def test_what_can_be_followed_is_no_problem(environ: dict[str, str]) -> None:
    assert network_problems(environ) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("certificate verify failed: certificate is not yet valid", "is the clock right?"),
        ("certificate verify failed: certificate has expired", "is the clock right?"),
        ("certificate verify failed: self-signed certificate in chain", "REQUESTS_CA_BUNDLE"),
        ("[Errno -2] Name or service not known", "its name is not known"),
        ("[Errno 111] Connection refused", "nothing listens there"),
        ("Unable to connect to proxy", "the proxy of HTTPS_PROXY"),
        ("something else with a key=secret", "OSError"),
    ],
)
def test_the_reason_for_no_answer_is_told_in_words_without_what_the_error_says(
    text: str, reason: str
) -> None:
    error = OSError(text)
    told = reason_of(error)
    assert reason in told
    assert "secret" not in told
