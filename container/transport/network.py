"""What a network demands of every client, by the environment: a proxy and a CA bundle; no more.

Nothing else of other tools is read, in particular no netrc and no AWS profile: a forgotten line in
one of them would replace a key, or send one to strangers. Standard library only.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import urllib.request
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

CA_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "SSL_CERT_FILE")
"""The first that is set counts, for every client alike."""

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""In small letters too, as curl reads them; those count first."""

# By words that Python, OpenSSL, urllib3 and requests put into what they raise, the clearest first.
_REASONS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (
        ("certificate is not yet valid", "certificate has expired"),
        "its certificate is not valid today by this machine's clock: is the clock right?",
    ),
    (
        ("self-signed certificate", "self signed certificate", "unable to get local issuer"),
        "its certificate is of no known CA; that of a proxy which opens TLS: REQUESTS_CA_BUNDLE",
    ),
    (("hostname mismatch", "doesn't match"), "its certificate is of another name"),
    (
        ("Cannot connect to proxy", "Unable to connect to proxy", "Tunnel connection failed"),
        "the proxy of HTTPS_PROXY or HTTP_PROXY does not pass it on",
    ),
    (
        ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure"),
        "it speaks no TLS: is https:// right?",
    ),
    (
        (
            "Name or service not known",
            "nodename nor servname",
            "Temporary failure in name resolution",
            "No address associated",
            "getaddrinfo failed",
        ),
        "its name is not known",
    ),
    (("Connection refused", "actively refused"), "nothing listens there"),
    (("Network is unreachable", "No route to host"), "no way leads there"),
    (("timed out", "Timeout"), "no answer in time"),
    (
        ("Connection reset", "Connection aborted", "RemoteDisconnected", "Broken pipe"),
        "the connection was cut",
    ),
)


def network_problems(environ: Mapping[str, str]) -> list[str]:
    """Return one line for each variable that no client could follow; reads the CA bundle's file."""
    problems: list[str] = []
    for name in (variable for proxy in PROXIES for variable in (proxy.lower(), proxy)):
        if value := environ.get(name, "").strip():
            problems += _proxy_problems(name, value)
    for name in CA_BUNDLES:
        if value := environ.get(name, "").strip():
            problems += _bundle_problems(name, value)
    return problems


def ca_bundle() -> str | None:
    """Return the file with the CA certificates to trust; None is what the client brings along."""
    return next((os.environ[name].strip() for name in CA_BUNDLES if os.environ.get(name)), None)


def proxies_for(url: str) -> dict[str, str]:
    """Return the proxy to ask for an address, by scheme; none for this machine's own services."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return {}
    known = urllib.request.getproxies()
    proxy = (known.get(parts.scheme) or known.get("all") or "").strip()
    return {parts.scheme: _with_scheme(proxy)} if proxy else {}


def reason_of(error: BaseException) -> str:
    """Say in a few words why there was no answer; never what the exception says, as it may hold
    an address with a key in it."""
    chain: BaseException | None = error
    texts: list[str] = []
    while chain is not None and len(texts) < 10:
        texts.append(f"{type(chain).__name__} {chain}")
        chain = chain.__cause__ or chain.__context__
    told = "\n".join(texts)
    for words, reason in _REASONS:
        if any(word in told for word in words):
            return reason
    return type(error).__name__


def _proxy_problems(name: str, value: str) -> list[str]:
    allowed = "must be the address of an HTTP proxy, such as http://proxy.example:3128, or unset"
    # The value may hold a password: of it only the scheme is shown.
    try:
        parts = urlsplit(_with_scheme(value))
        whole = bool(parts.hostname) and parts.port != 0 and not any(c.isspace() for c in value)
    except ValueError:
        whole = False
        parts = urlsplit("")
    if not whole:
        return [f"{name}: what it holds is no address; {allowed}"]
    if parts.scheme not in ("http", "https"):
        return [f"{name}: a proxy by {parts.scheme}:// is not supported; {allowed}"]
    return []


def _bundle_problems(name: str, value: str) -> list[str]:
    allowed = "must be a PEM file of CA certificates, or unset"
    if Path(value).is_dir():
        return []  # OpenSSL looks certificates up in it when it meets one
    try:
        why = _why_no_bundle(value, Path(value).stat().st_mtime_ns)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
    return [f"{name} = {value}: {why}; {allowed}"] if why else []


@lru_cache(maxsize=8)
def _why_no_bundle(path: str, _changed_ns: int) -> str:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        return "holds no certificate that OpenSSL can read"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    return ""


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
