"""``/api/numbers`` and ``/api/gateways``: which numbers reach us, and whose calls we take."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

from fastapi import APIRouter, Request, Response

from dialroom.api.context import Asked, Context, Services, Tenant
from dialroom.api.idempotency import IdempotencyKey, once
from dialroom.api.problem import responses
from dialroom.api.wire.common import PageOf
from dialroom.api.wire.numbers import (
    GatewayChange,
    GatewayCreate,
    GatewayGiven,
    NumberChange,
    NumberCreate,
    NumberGiven,
)
from dialroom.core.answers import Answer
from dialroom.core.errors import Invalid, NotFound
from dialroom.core.ids import new_id
from dialroom.core.numbers import country_of, display_number, parse_number
from dialroom.rooms.values import Gateway, Network, Number

router = APIRouter()


@router.post("/numbers", status_code=201, tags=["Numbers"], responses=responses(404, 409, 422))
async def create_number(
    body: NumberCreate, request: Request, context: Context, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> NumberGiven:
    """Tell us of a number that reaches us."""

    async def create(answer: Answer[NumberGiven]) -> NumberGiven:
        number = _as_dialled(body.number)
        made = Number(
            id=new_id("num"),
            organisation=tenant,
            number=number,
            display=body.display or display_number(number),
            country=body.country or country_of(number),
            language=body.language,
            dial_in=body.dial_in,
            room=body.room,
            created_at=context.clock.now(),
        )
        given = NumberGiven.model_validate(made)
        await context.numbers.create(made, answer(given))
        return given

    return await once(context, request, tenant, idempotency_key, NumberGiven, create)


@router.get("/numbers", tags=["Numbers"], responses=responses(400))
async def list_numbers(context: Context, tenant: Tenant, asked: Asked) -> PageOf[NumberGiven]:
    """Your numbers, newest first."""
    page = await context.numbers.page(tenant, asked.cursor, asked.limit)
    return PageOf(items=[NumberGiven.model_validate(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/numbers/{number}", tags=["Numbers"], responses=responses(404))
async def read_number(number: str, context: Context, tenant: Tenant) -> NumberGiven:
    """One number, by its id."""
    return NumberGiven.model_validate(await _number(context, tenant, number))


@router.patch("/numbers/{number}", tags=["Numbers"], responses=responses(404, 422))
async def change_number(number: str, body: NumberChange, context: Context, tenant: Tenant) -> NumberGiven:
    """Change what becomes of calls to a number."""
    changes = body.changes()
    changed = await context.numbers.change(tenant, number, lambda before: replace(before, **changes))
    return NumberGiven.model_validate(changed)


@router.delete("/numbers/{number}", status_code=204, tags=["Numbers"], responses=responses(404))
async def delete_number(number: str, context: Context, tenant: Tenant) -> Response:
    """Calls to this number are refused from now on."""
    await context.numbers.delete(tenant, number)
    return Response(status_code=204)


@router.post("/gateways", status_code=201, tags=["Gateways"], responses=responses(409, 422))
async def create_gateway(
    body: GatewayCreate, request: Request, context: Context, tenant: Tenant, idempotency_key: IdempotencyKey = None
) -> GatewayGiven:
    """Let the calls of a carrier, a PBX or a phone in: by its addresses, by digest authentication, or by both."""

    async def create(answer: Answer[GatewayGiven]) -> GatewayGiven:
        made = _checked(
            Gateway(
                id=new_id("gw"),
                organisation=tenant,
                name=body.name,
                addresses=tuple(_network(text) for text in body.addresses),
                username=body.username,
                password=body.password,
                region=body.region,
                created_at=context.clock.now(),
            )
        )
        given = _gateway_given(made)
        await context.gateways.create(made, answer(given))
        return given

    return await once(context, request, tenant, idempotency_key, GatewayGiven, create)


@router.get("/gateways", tags=["Gateways"], responses=responses(400))
async def list_gateways(context: Context, tenant: Tenant, asked: Asked) -> PageOf[GatewayGiven]:
    """Your gateways, newest first."""
    page = await context.gateways.page(tenant, asked.cursor, asked.limit)
    return PageOf(items=[_gateway_given(each) for each in page.items], next_cursor=page.next_cursor)


@router.get("/gateways/{gateway}", tags=["Gateways"], responses=responses(404))
async def read_gateway(gateway: str, context: Context, tenant: Tenant) -> GatewayGiven:
    """One gateway."""
    return _gateway_given(await _gateway(context, tenant, gateway))


@router.patch("/gateways/{gateway}", tags=["Gateways"], responses=responses(404, 409, 422))
async def change_gateway(gateway: str, body: GatewayChange, context: Context, tenant: Tenant) -> GatewayGiven:
    """Change a gateway; running calls go on. It holds within five seconds."""
    changes = body.changes()
    if "addresses" in changes:
        changes["addresses"] = tuple(_network(text) for text in changes["addresses"])
    if "username" in changes and changes["username"] is None:
        changes.setdefault("password", None)
    return _gateway_given(
        await context.gateways.change(tenant, gateway, lambda before: _checked(replace(before, **changes)))
    )


@router.delete("/gateways/{gateway}", status_code=204, tags=["Gateways"], responses=responses(404))
async def delete_gateway(gateway: str, context: Context, tenant: Tenant) -> Response:
    """Its calls are those of a stranger from now on; running ones go on."""
    await context.gateways.delete(tenant, gateway)
    return Response(status_code=204)


async def _number(context: Services, tenant: str, number: str) -> Number:
    found = await context.numbers.find(tenant, number)
    if found is None:
        raise NotFound(f"There is no number {number!r}.", "Use the number's `id`.")
    return found


async def _gateway(context: Services, tenant: str, gateway: str) -> Gateway:
    found = await context.gateways.find(tenant, gateway)
    if found is None:
        raise NotFound(f"There is no gateway {gateway!r}.")
    return found


def _as_dialled(text: str) -> str:
    """A bare SIP user of digits (an extension such as 1000) stays as it is; everything else has to be a number."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 7:
        return text
    return parse_number(text).e164


def _checked(gateway: Gateway) -> Gateway:
    if not gateway.addresses and gateway.username is None:
        fix = "Give `addresses`, or `username` and `password`."
        raise Invalid("A gateway without addresses and username would never match.", fix, "addresses")
    if (gateway.username is None) != (gateway.password is None):
        raise Invalid("A username needs a password, and the other way round.", field="password")
    return gateway


def _network(text: str) -> Network:
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise Invalid(f"{text!r} is no network.", "Write it as 198.51.100.0/24.", "addresses") from error
    if ip_interface(text.strip()).ip != network.network_address:
        fix = f"Write {network} if you mean all of it."
        raise Invalid(f"{text!r} is an address inside a network.", fix, "addresses")
    return network


def _gateway_given(gateway: Gateway) -> GatewayGiven:
    return GatewayGiven(
        id=gateway.id,
        name=gateway.name,
        addresses=[str(network) for network in gateway.addresses],
        username=gateway.username,
        region=gateway.region,
        created_at=gateway.created_at,
    )
