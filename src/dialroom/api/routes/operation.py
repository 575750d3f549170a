"""For operators: is it well (``/healthz``), and how much of what (``/metrics``)."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dialroom.api.context import Context
from dialroom.core.metrics import REGISTRY
from dialroom.media.plane import MediaLost, MediaRefused

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def health(context: Context) -> JSONResponse:
    """200 while calls can be answered, else 503; each part by name."""
    parts = context.ready()
    well = all(parts.values())
    return JSONResponse({"status": "ok" if well else "degraded", "parts": parts}, 200 if well else 503)


@router.get("/metrics")
async def metrics(context: Context) -> Response:
    """Prometheus text: ours, and the media plane's."""
    text = generate_latest(REGISTRY)
    try:
        values = await context.media.metrics() | {"dialroom_media_up": 1}
    except (MediaLost, MediaRefused):
        values = {"dialroom_media_up": 0}
    # Each in full: rounded, a large counter would stand still and then leap.
    lines = "".join(f"# TYPE {name} {_kind(name)}\n{name} {value!r}\n" for name, value in sorted(values.items()))
    return Response(text + lines.encode(), media_type=CONTENT_TYPE_LATEST)


def _kind(name: str) -> str:
    return "counter" if name.endswith("_total") else "gauge"
