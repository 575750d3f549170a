"""Errors as problem+json (RFC 9457): a stable ``code``, what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from dialroom.core.errors import DialroomError, Invalid, TooManyAttempts, Unauthenticated

CONTENT_TYPE = "application/problem+json"
INVALID_JSON = "invalid_json"
_log = structlog.get_logger("dialroom.api")


class FieldProblem(BaseModel):
    """One value of the request that cannot be used."""

    field: str = Field(description="Where in the request, as a path.", examples=["body.code"])
    message: str = Field(
        description="What is wrong with it.", examples=["write 4 to 12 digits, 0 to 9, and nothing else"]
    )


class Problem(BaseModel):
    """What every error looks like."""

    type: str = Field(description="Where the code is explained.", examples=["/api/docs#errors"])
    title: str = Field(description="The kind of error, the same each time.", examples=["The room is locked"])
    status: int = Field(description="The HTTP status, again.", examples=[403])
    code: str = Field(description="Stable name of the kind of error, for programs.", examples=["room_locked"])
    detail: str = Field(description="What happened this time.", examples=["The room “Standup” is locked."])
    fix: str = Field(description="What to do about it.", examples=["Ask a host to unlock the room."])
    errors: list[FieldProblem] | None = Field(default=None, description="Each value that cannot be used.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of these error statuses, for a route's ``responses``."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase, "content": {CONTENT_TYPE: {}}}
        for status in statuses
    }


def problem_response(
    status: int,
    code: str,
    title: str,
    detail: str,
    fix: str,
    *,
    errors: Sequence[FieldProblem] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An error as it goes out."""
    problem = Problem(
        type=f"/api/docs#{code}",
        title=title,
        status=status,
        code=code,
        detail=detail,
        fix=fix,
        errors=None if errors is None else list(errors),
    )
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, media_type=CONTENT_TYPE)


def error_response(error: DialroomError) -> JSONResponse:
    """One of our own errors as it goes out."""
    headers = {}
    if isinstance(error, TooManyAttempts):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    fields = None
    if isinstance(error, Invalid) and error.field:
        fields = [FieldProblem(field=f"body.{error.field}", message=error.detail)]
    return problem_response(
        error.status, error.code, error.title, error.detail, error.fix, errors=fields, headers=headers
    )


def install(app: FastAPI) -> None:
    """Makes every error of the application, whoever raised it, a problem."""
    app.add_exception_handler(DialroomError, _on_dialroom_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)


async def _on_dialroom_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DialroomError)  # noqa: S101
    return error_response(error)


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = error.errors()
    if isinstance(error.body, bytes) and error.body:  # left as it is if it does not say that it is JSON
        sent = request.headers.get("content-type", "")[:100]
        detail = f"The body says that it is {sent}." if sent else "The body does not say what it is."
        fix = "Send JSON, with the header `Content-Type: application/json`."
        return problem_response(415, *http_error(415), detail, fix)
    if any(each["type"] == "json_invalid" for each in found):
        return _invalid_json(f"{found[0]['ctx']['error']}, at character {found[0]['loc'][-1]}")
    if any((each["type"], each["loc"]) == ("missing", ("body",)) for each in found):
        return _invalid_json("There is no body.")
    fields = [FieldProblem(field=".".join(str(part) for part in each["loc"]), message=_said(each)) for each in found]
    detail = "; ".join(f"{field.field}: {field.message}" for field in fields[:5])
    return problem_response(422, Invalid.code, Invalid.title, detail, Invalid.default_fix, errors=fields[:50])


def _said(error: Mapping[str, Any]) -> str:
    """What is wrong with a value, in words for whoever sent it."""
    if error["type"] == "extra_forbidden":
        return "There is no such parameter" if error["loc"][0] == "query" else "There is no such field"
    return str(error["msg"]).removeprefix("Value error, ")


def _invalid_json(detail: str) -> JSONResponse:
    return problem_response(
        400, INVALID_JSON, "The body is not JSON", detail, "Send one JSON object as body, in UTF-8."
    )


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    path = request.url.path[:200]
    headers = dict(error.headers or {})
    match error.status_code:
        case 400 if isinstance(error.__cause__, ValueError | RecursionError):  # from FastAPI reading the body
            return _invalid_json("The body cannot be read: it is not UTF-8, or too deep, or holds a number too long.")
        case 404:
            detail, fix = f"Nothing answers at {path}.", "See /api/docs for what there is."
        case 405:
            headers["Allow"] = ", ".join(sorted(_allowed(request)))
            detail, fix = f"{request.method} does not work on {path}.", "See /api/docs for what does."
        case 413:
            detail, fix = str(error.detail), "Send less; metadata is for small facts, not for files."
        case _:
            detail, fix = str(error.detail), "Correct the request and send it again."
    code, title = http_error(error.status_code)
    return problem_response(error.status_code, code, title, detail, fix, headers=headers)


def _allowed(request: Request) -> set[str]:
    """Every method of the path (RFC 9110, 15.5.6); a route that fits knows only of its own."""
    allowed: set[str] = set()
    for path, methods in request.app.openapi()["paths"].items():
        if compile_path(path)[0].match(request.url.path):
            allowed.update(method.upper() for method in methods)
    allowed = allowed or {"GET"}  # what is not in the description is a page
    return allowed | {"HEAD"} if "GET" in allowed else allowed


def http_error(status: int) -> tuple[str, str]:
    """Code and title of an error that HTTP itself knows. Python renamed 413's phrase; a code never changes."""
    title = "Content Too Large" if status == 413 else HTTPStatus(status).phrase
    return title.lower().replace(" ", "_"), title


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    _log.error("api.bug", method=request.method, path=request.url.path[:200], exc_info=error)
    return error_response(DialroomError())
