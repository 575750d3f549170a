"""``dialroom route``: what would happen to a call."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dialroom.auth.guesses import Guesses
from dialroom.calls.explainer import Explainer
from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.cli.served_store import served_store
from dialroom.config import Config
from dialroom.core.clock import SystemClock
from dialroom.routing.explain import Explanation, asked_source, asked_user
from dialroom.store.store import Store

_MARKS = {"matched": "[green]✓[/green]", "not_matched": "[yellow]–[/yellow]", "decided": "[bold]→[/bold]"}


async def explain_call(config: Config, out: Console, number: str, caller: str, source: str) -> int:
    """Prints every step of the decision; 0 if the call would be answered."""
    async with served_store(config) as (store, _):
        explanation = await _explained(store, config, number, caller, source)
    table = Table.grid(padding=(0, 1))
    for step in explanation.trace:
        table.add_row(_MARKS[step.verdict], escape(step.subject), f"[dim]{escape(step.why)}[/dim]")
    out.print(table)
    out.print(explanation.summary, markup=False)
    return 0 if explanation.outcome in ("ask_for_code", "join_room") else 3


async def _explained(store: Store, config: Config, number: str, caller: str, source: str) -> Explanation:
    gatekeeper = Gatekeeper(store.gateways, config.sip_allowed_networks, config.sip_strangers)
    explainer = Explainer(gatekeeper, store.numbers, Guesses(store.guesses, SystemClock()))
    return await explainer.explain(None, asked_user(number), asked_user(caller), asked_source(source))
