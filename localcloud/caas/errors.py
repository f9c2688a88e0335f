"""What goes wrong, as the API says it: one class an answer, and their handlers.

Validation answers carry location, message and type only: pydantic would also echo the input, which
may hold a secret.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse


class ApiError(Exception):
    """An error answer whose body is `detail`, a string."""

    status = 400

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RefusedError(ApiError):
    """The request is well-formed and cannot be done: name taken, no capacity, no funds."""


class NotFoundError(ApiError):
    """Nothing has that id."""

    status = 404


class EndedDeploymentError(ApiError):
    """The deployment has ended; the vendor was seen to answer 400 with a not-found text."""

    def __init__(self, *, status: int = 400) -> None:
        super().__init__("Resource not found")
        self.status = status


class UnprocessableError(Exception):
    """One member of a request does not validate; answered in pydantic's shape."""

    def __init__(self, *loc: str | int, message: str, kind: str = "value_error") -> None:
        super().__init__(message)
        self.item = {"loc": list(loc), "msg": message, "type": kind}


def install(app: FastAPI) -> None:
    """Let the application answer these errors as the vendor would."""

    @app.exception_handler(ApiError)
    def _detail(_: Request, error: ApiError) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, status_code=error.status)

    @app.exception_handler(UnprocessableError)
    def _one(_: Request, error: UnprocessableError) -> JSONResponse:
        return JSONResponse({"detail": [error.item]}, status_code=422)

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        items = [{name: item[name] for name in ("loc", "msg", "type")} for item in error.errors()]
        return JSONResponse({"detail": items}, status_code=422)
