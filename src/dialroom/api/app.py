"""The HTTP door: API, room page, sockets, in one ASGI application."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, RedirectResponse
from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dialroom.api import problem
from dialroom.api.context import Services, refuse_unknown_parameters
from dialroom.api.limits import LimitBody, Visitors
from dialroom.api.live import LiveEvents
from dialroom.api.room_socket.endpoint import RoomSocketEndpoint
from dialroom.api.room_socket.hub import RoomSockets
from dialroom.api.routes import calls, numbers, operation, pages, rooms, sessions, webhooks
from dialroom.core.errors import NotFound

PAGES = Path(__file__).resolve().parent.parent / "web"

DESCRIPTION = """\
Puts phones into video rooms.

Send your API key as `Authorization: Bearer dr_…`. Errors are `application/problem+json` with a stable `code`, what
happened and what to do. Lists are paged by cursor. Every create takes an `Idempotency-Key`.

Events reach you by webhook ([Standard Webhooks](https://www.standardwebhooks.com)), by `GET /api/events`, and live over
the WebSocket `/api/live`: send `{"key": "dr_…"}` first.
"""

_PHRASES = {"413": "Content Too Large", "422": "Unprocessable Content"}
POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)


class SecurityHeaders:
    """ASGI middleware: what browsers are told to allow our pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                if scope["path"].startswith("/sdk/"):  # pages of other origins import it
                    headers["Access-Control-Allow-Origin"] = "*"
                if scope["path"].startswith("/api/"):  # answers hold PINs, host links and secrets
                    headers.setdefault("Cache-Control", "no-store")
                headers["Permissions-Policy"] = "camera=(self), microphone=(self), display-capture=(self)"
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HeadAsGet:
    """ASGI middleware: every GET works as HEAD too (RFC 9110, 9.1); uvicorn leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        await self._app({**scope, "method": "GET"} if is_head else scope, receive, send)


def create_app(services: Services, sockets: RoomSockets) -> FastAPI:
    """The application. ``sockets`` holds the browsers; its owner adopts those of an earlier process."""
    app = FastAPI(
        title="dialroom",
        version=version("dialroom"),
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.visitors = Visitors(services.clock, services.config.sockets_per_address)
    problem.install(app)
    app.add_middleware(LimitBody)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HeadAsGet)
    if proxies := services.config.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=[str(each) for each in proxies])
    app.include_router(_api())
    app.include_router(operation.router)
    _add_sockets(app, services, sockets)
    _add_pages(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _api() -> APIRouter:
    api = APIRouter(prefix="/api", dependencies=[Depends(refuse_unknown_parameters)])
    with_key = (rooms.router, sessions.router, calls.router, numbers.router, webhooks.router)
    for router in with_key:
        api.include_router(router, responses=problem.responses(401))
    api.include_router(pages.router)
    return api


def _add_sockets(app: FastAPI, services: Services, sockets: RoomSockets) -> None:
    # Behind a proxy the Host header may be another than the one in the page's address.
    own = urlsplit(services.config.base_url)
    origins = (*services.config.allowed_origins, f"{own.scheme}://{own.netloc}".lower())
    visitors: Visitors = app.state.visitors
    most = services.config.live_sockets_per_organisation
    room_socket = RoomSocketEndpoint(sockets, services.meetings, services.clock, origins, visitors)
    live = LiveEvents(services.bus, services.keys, services.clock, origins, visitors, most)

    @app.websocket("/api/socket")
    async def serve_room_socket(websocket: WebSocket) -> None:
        await room_socket.serve(websocket)

    @app.websocket("/api/live")
    async def serve_live_events(websocket: WebSocket) -> None:
        await live.serve(websocket)


def _add_pages(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    @app.get("/r/{slug}", include_in_schema=False)
    async def room_page() -> FileResponse:
        return _page("index.html")

    @app.get("/api/docs", include_in_schema=False)
    async def docs_page() -> FileResponse:
        return _page("docs/index.html")

    @app.get("/api", include_in_schema=False)
    @app.get("/api/", include_in_schema=False)
    @app.get("/api/docs/", include_in_schema=False)
    async def to_docs_page() -> RedirectResponse:
        return RedirectResponse("/api/docs")

    for folder in ("assets", "sdk", "docs"):
        app.mount(f"/{folder}", StaticFiles(directory=PAGES / folder, check_dir=False), name=folder)


def _page(name: str) -> FileResponse:
    path = PAGES / name
    if not path.exists():
        raise NotFound("The web pages are not built.", "Run `make build`, or install the wheel, which carries them.")
    return FileResponse(path, headers={"Cache-Control": "no-cache"})


def _openapi(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1. FastAPI would document its own shape of validation errors, which `problem` replaces."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for path in schema["paths"].values():
            for operation_ in path.values():
                for status in (400, 413, 415, 422) if "requestBody" in operation_ else (422,):
                    operation_["responses"].setdefault(str(status), {"description": HTTPStatus(status).phrase})
                operation_["responses"].setdefault("503", {"description": HTTPStatus(503).phrase})
                _as_problems(operation_["responses"])
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema


def _as_problems(responses: dict[str, Any]) -> None:
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            response["content"] = {problem.CONTENT_TYPE: reference}
            if status in _PHRASES:  # Python renamed them
                response["description"] = _PHRASES[status]
