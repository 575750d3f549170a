from dialroom.routing.decide import AskForCode, CallFacts, JoinRoom, Reject, decide

from .values import gateway, number

OURS = "+12025550176"


def test_a_dial_in_number_asks_for_a_code() -> None:
    ours = number(OURS)
    decision = decide(CallFacts("12025550176", "12025550176"), [ours])
    assert isinstance(decision, AskForCode)
    assert decision.number is ours
    assert [step.subject for step in decision.trace] == ["gateway", f"number {OURS}", "decision"]


def test_a_number_with_a_room_leads_straight_into_it() -> None:
    decision = decide(CallFacts(OURS, OURS), [number(OURS, room="room_x", dial_in=False)])
    assert isinstance(decision, JoinRoom)
    assert decision.room == "room_x"


def test_to_is_read_when_the_request_uri_names_the_trunk() -> None:
    decision = decide(CallFacts("trunk-7", OURS), [number(OURS)])
    assert isinstance(decision, AskForCode)
    assert [step.verdict for step in decision.trace] == ["not_matched", "not_matched", "matched", "decided"]


def test_a_gateway_reaches_its_own_organisations_numbers_only() -> None:
    theirs = number(OURS, organisation="org_b")
    decision = decide(CallFacts(OURS, OURS, gateway("carrier", organisation="org_a")), [theirs])
    assert isinstance(decision, Reject)
    assert decision.reason == "unknown_number"
    assert not any("org_b" in step.why + step.subject for step in decision.trace)


def test_a_national_form_is_read_in_the_gateways_region() -> None:
    facts = CallFacts("2025550176", "2025550176", gateway("carrier", region="US"))
    assert isinstance(decide(facts, [number(OURS)]), AskForCode)


def test_an_unknown_number_is_refused_with_the_reason_why() -> None:
    decision = decide(CallFacts("+4930123456", "+4930123456"), [number(OURS)])
    assert isinstance(decision, Reject)
    assert (decision.status, decision.reason) == (404, "unknown_number")
    assert "nobody here has it" in decision.trace[-2].why


def test_a_number_that_leads_nowhere_is_refused_and_named() -> None:
    ours = number(OURS, dial_in=False)
    decision = decide(CallFacts(OURS, OURS), [ours])
    assert isinstance(decision, Reject)
    assert (decision.status, decision.reason, decision.number) == (404, "number_without_dial_in", ours)
