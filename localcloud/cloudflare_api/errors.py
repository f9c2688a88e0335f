"""Cloudflare's error answers: status, code and words as its clients meet them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CloudflareError(Exception):
    """One error answer; `chained` are the further codes that some answers carry."""

    status: int
    code: int
    message: str
    chained: tuple[tuple[int, str], ...] = ()
    more: tuple[tuple[int, str], ...] = ()


def bucket_not_found() -> CloudflareError:
    return CloudflareError(404, 10006, "The specified bucket does not exist.")


def bucket_exists() -> CloudflareError:
    return CloudflareError(
        409, 10004, "The bucket you tried to create already exists, and you own it."
    )


def bucket_not_empty(name: str, account_id: str) -> CloudflareError:
    message = f"The bucket you tried to delete ({name}) is not empty ({account_id})."
    return CloudflareError(409, 10008, message)


def bad_bucket_name() -> CloudflareError:
    return CloudflareError(400, 10005, "The specified bucket name is not valid.")


def bad_request(message: str) -> CloudflareError:
    return CloudflareError(400, 1001, message)


def token_not_found() -> CloudflareError:
    # The vendor's code for it is not known; clients look at the status only.
    return CloudflareError(404, 1003, "Token not found")


def no_credentials() -> CloudflareError:
    return CloudflareError(
        403,
        9106,
        "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
        more=((9107, "Missing X-Auth-Email header"),),
    )


def malformed_credentials() -> CloudflareError:
    return CloudflareError(
        400,
        6003,
        "Invalid request headers",
        chained=((6111, "Invalid format for Authorization header"),),
    )


def unknown_token() -> CloudflareError:
    return CloudflareError(403, 9109, "Invalid access token")


def verify_refused() -> CloudflareError:
    return CloudflareError(401, 1000, "Invalid API Token")


def r2_forbidden() -> CloudflareError:
    return CloudflareError(403, 10000, "Authentication error")


def tokens_forbidden() -> CloudflareError:
    return CloudflareError(403, 9109, "Unauthorized to access requested resource")


def not_held(names: list[str]) -> CloudflareError:
    # That it is refused is in the vendor's change log (2026-10-01); its code and words are made up.
    return CloudflareError(
        403, 9109, f"The token that makes another one does not hold: {', '.join(names)}"
    )


def no_route(path: str) -> CloudflareError:
    return CloudflareError(
        404, 7003, f"Could not route to {path}, perhaps your object identifier is invalid?"
    )


def method_refused(method: str) -> CloudflareError:
    return CloudflareError(405, 7001, f"Method {method} not available for that URI.")


def internal() -> CloudflareError:
    return CloudflareError(500, 10001, "We encountered an internal error. Please try again.")
