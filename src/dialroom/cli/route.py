"""``dialroom route``: what would happen to a call."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from dialroom.calls.gatekeeper import Gatekeeper
from dialroom.config import Config
from dialroom.core.bus import EventBus
from dialroom.routing.decide import CallFacts, decide
from dialroom.routing.explain import Explanation, explain
from dialroom.routing.gateways import Admitted
from dialroom.store.store import Store

_MARKS = {"matched": "[green]✓[/green]", "not_matched": "[yellow]–[/yellow]", "decided": "[bold]→[/bold]"}


async def explain_call(config: Config, out: Console, number: str, source: str) -> int:
    """Prints every step of the decision; 0 if the call would be answered."""
    store = await Store.open(config.database, config.data_dir, EventBus())
    try:
        explanation = await _explained(store, config, number, source)
    finally:
        await store.close()
    table = Table.grid(padding=(0, 1))
    for step in explanation.trace:
        table.add_row(_MARKS[step.verdict], step.subject, f"[dim]{step.why}[/dim]")
    out.print(table)
    out.print(explanation.summary, markup=False)
    return 0 if explanation.outcome in ("ask_for_code", "join_room") else 3


async def _explained(store: Store, config: Config, number: str, source: str) -> Explanation:
    gatekeeper = Gatekeeper(store.gateways, config.sip_allowed_networks, config.sip_strangers)
    await gatekeeper.refresh()
    admission = gatekeeper.identify_source(source)
    if not isinstance(admission, Admitted):
        return explain(admission, None)
    facts = CallFacts(number, number, admission.gateway)
    spelled = dict.fromkeys(spelling for _, wanted in facts.asked_for() for spelling in wanted)
    candidates = [found for spelling in spelled for found in await store.numbers.dialled(spelling)]
    return explain(admission, decide(facts, candidates))
