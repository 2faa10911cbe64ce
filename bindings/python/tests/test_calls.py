"""Calls, answers and errors, asynchronous and synchronous."""

from __future__ import annotations

import asyncio
import collections
import json
from typing import Any, Callable, List

import pytest

from conftest import Run
from support import FLAGS, HERO, Edge, on_device
from target_sdk import (
    Attributes,
    ClientState,
    ClosedError,
    HttpError,
    InvalidArgumentError,
    InvalidJsonError,
    InvalidOptionsError,
    NetworkError,
    NoAttributeError,
    NotReadyError,
    QueueFullError,
    TargetClient,
    TargetError,
    TargetTimeoutError,
)


def content(answer: Any) -> str:
    return str(answer["response"]["execute"]["mboxes"][0]["options"][0]["content"])


def test_offers(client: TargetClient, run: Run) -> None:
    answer = run(client.get_offers(HERO))
    assert answer["status"] == 200
    assert answer["targetCookie"]["name"] == "mbox" and answer["targetCookie"]["maxAge"] > 0
    assert content(answer) == content(client.get_offers_sync(HERO))


def test_options_as_text_and_answers_as_text(client: TargetClient, edge: Edge, run: Run) -> None:
    request = {"request": {"execute": {"mboxes": [{"name": "homepage-hero", "parameters": {"city": "Köln \U0001f600"}}]}}}
    text = json.dumps(request, ensure_ascii=False)
    mapping = collections.ChainMap(request)
    for options in (request, text, text.encode(), bytearray(text.encode()), mapping):
        assert client.get_offers_sync(options)["status"] == 200
        raw = run(client.get_offers(options, raw=True))
        assert isinstance(raw, bytes) and json.loads(raw)["status"] == 200
    bodies = [json.loads(one["body"]) for one in edge.received()]
    assert len(bodies) == 10
    assert {body["execute"]["mboxes"][0]["parameters"]["city"] for body in bodies} == {"Köln \U0001f600"}


def test_notifications(client: TargetClient, edge: Edge, run: Run) -> None:
    notification = {
        "id": "n1",
        "type": "display",
        "timestamp": 1_700_000_000_000,
        "mbox": {"name": "homepage-hero"},
        "tokens": ["t1"],
    }
    options = {"request": {"notifications": [notification]}}
    assert run(client.send_notifications(options))["response"]["notifications"][0]["id"] == "n1"
    assert client.send_notifications_sync(options)["status"] == 200
    assert b'"n1"' in run(client.send_notifications(options, raw=True))
    assert b'"n1"' in client.send_notifications_sync(options, raw=True)
    assert [json.loads(one["body"])["notifications"][0]["tokens"] for one in edge.received()] == [["t1"]] * 4


def test_attributes(client: TargetClient, run: Run) -> None:
    for attributes in (run(client.get_attributes([FLAGS])), client.get_attributes_sync([FLAGS], {"sessionId": "s1"})):
        assert isinstance(attributes, Attributes)
        assert attributes[FLAGS]["searchProviderId"] == 143
        assert attributes.get_value(FLAGS, "hasLegacyAccess") is False
        assert attributes.get_value(FLAGS, "new", default=5) == 5 == attributes.get_value("other", "new", 5)
        with pytest.raises(NoAttributeError):
            attributes.get_value(FLAGS, "new")
        assert list(attributes) == [FLAGS] and len(attributes) == 1 and FLAGS in repr(attributes)
        assert attributes.answer["status"] == 200 and "attributes" not in attributes.answer
    with pytest.raises(TypeError):
        client.get_attributes_sync(FLAGS)


def test_errors_name_the_path(client: TargetClient, run: Run) -> None:
    wrong = {"request": {"execute": {"mboxes": [{"name": "a", "index": "first"}]}}}
    calls: List[Callable[[], Any]] = [lambda: run(client.get_offers(wrong)), lambda: client.get_offers_sync(wrong)]
    for call in calls:
        with pytest.raises(InvalidOptionsError) as caught:
            call()
        error = caught.value
        assert (error.path, error.code, error.name) == ("/request/execute/mboxes/0/index", -6, "TARGET_E_INVALID_OPTIONS")
        assert error.document["message"] == error.message and error.message in str(error) and not error.retryable
    with pytest.raises(InvalidOptionsError):
        run(client.send_notifications({"request": {}}))
    with pytest.raises(InvalidOptionsError):
        client.get_attributes_sync([""], {"request": 3})


def test_what_is_no_json(client: TargetClient) -> None:
    for bad in ("{", b"nope", "", {"request": float("nan")}):
        with pytest.raises(TargetError) as caught:
            client.get_offers_sync(bad)
        assert isinstance(caught.value, (InvalidJsonError, InvalidOptionsError))
    for bad in (b"\xff", "\ud800", b'{"request":{}\0}'):
        with pytest.raises(InvalidArgumentError):
            client.get_offers_sync(bad)
        with pytest.raises(InvalidArgumentError):
            asyncio.run(client.get_offers(bad))
    with pytest.raises(TypeError):
        client.get_offers_sync([])  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        client.get_offers_sync({"request": object()})


def test_configuration_errors() -> None:
    with pytest.raises(InvalidOptionsError, match="Client is required"):
        TargetClient.create({"organizationId": "1@AdobeOrg"})
    with pytest.raises(InvalidOptionsError) as caught:
        TargetClient.create('{"client": 3}')
    assert caught.value.path == "/client"
    with pytest.raises(InvalidJsonError):
        TargetClient.create("{")
    with pytest.raises(TypeError):
        TargetClient.create(None)  # type: ignore[arg-type]


def test_what_the_server_and_the_network_do(edge: Edge, run: Run) -> None:
    with TargetClient.create(edge.config(maxRetries=0)) as client:
        edge.fault("status:503", times=1)
        with pytest.raises(HttpError) as http:
            run(client.get_offers(HERO))
        assert (http.value.http_status, http.value.attempts, http.value.retryable) == (503, 1, True)
        assert http.value.request_id and http.value.phase and http.value.elapsed_ms is not None
        edge.fault("reset", times=1)
        with pytest.raises(NetworkError):
            client.get_offers_sync(HERO)


def test_deadlines(client: TargetClient, edge: Edge, run: Run) -> None:
    edge.fault("stall")
    for call in (lambda: run(client.get_offers(HERO, timeout=0.05)), lambda: client.get_offers_sync(HERO, timeout=0.05)):
        with pytest.raises(TargetTimeoutError) as caught:
            call()
        assert isinstance(caught.value, TimeoutError) and caught.value.retryable
    with pytest.raises(TargetTimeoutError):
        client.get_offers_sync(HERO, timeout=0)
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError):
            client.get_offers_sync(HERO, timeout=bad)
    with pytest.raises(asyncio.TimeoutError):
        run(_wait_for(client))


async def _wait_for(client: TargetClient) -> None:
    await asyncio.wait_for(client.get_offers(HERO), 0.05)


def test_limits(edge: Edge, run: Run) -> None:
    edge.fault("stall")

    async def many(client: TargetClient) -> None:
        calls = [asyncio.ensure_future(client.get_offers(HERO, timeout=0.3)) for _ in range(3)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [TargetTimeoutError, TargetTimeoutError, QueueFullError]
        refused = outcomes[2]
        assert isinstance(refused, QueueFullError) and refused.retryable

    with TargetClient.create(edge.config(maxInFlight=1, maxQueued=1)) as client:
        run(many(client))


def test_life(edge: Edge, run: Run) -> None:
    async def live() -> TargetClient:
        async with TargetClient.create(edge.config()) as client:
            await client.wait_ready()
            assert client.state == ClientState.READY
            await client.get_offers(HERO)
            assert client.stats()["calls"] == {"accepted": 1, "completed": 1, "cancelled": 0, "inFlight": 0}
            assert await client.flush() == {"delivered": 0, "dropped": 0, "pending": 0}
            report = await client.close()
            assert report["completed"] == 0 and report["cancelled"] == 0
        return client

    client = run(live())
    assert client.state == ClientState.CLOSED
    client.close_sync()
    with pytest.raises(ClosedError):
        client.get_offers_sync(HERO)
    with pytest.raises(ClosedError):
        run(client.get_offers(HERO))


def test_on_device(edge: Edge, run: Run) -> None:
    with TargetClient.create(on_device()) as client:
        client.wait_ready_sync()
        assert client.state == ClientState.OFFLINE
        answer = client.get_offers_sync(HERO)
        assert answer["meta"]["decisioningMethod"] == "on-device"
        assert content(answer) == content(run(client.get_offers(HERO)))
        assert json.loads(client.artifact())["version"] == "1.0.0"
        # Text, other methods, an address to look up: other paths through this package, the same answer.
        assert content(client.get_offers_sync(json.dumps(HERO))) == content(answer)
        assert content(client.get_offers_sync(dict(HERO, decisioningMethod="on-device"))) == content(answer)
        located = dict(HERO, request=dict(HERO["request"], context={"channel": "web", "geo": {"ipAddress": "1.2.3.4"}}))
        assert content(client.get_offers_sync(located)) == content(answer)
        assert client.get_attributes_sync([FLAGS])[FLAGS]
    with TargetClient.create(edge.config(decisioningMethod="on-device", artifactLocation="http://127.0.0.1:9/a")) as client:
        with pytest.raises(NotReadyError):
            client.wait_ready_sync()
        assert client.state == ClientState.DEGRADED
        with pytest.raises(NotReadyError):
            client.artifact()
    with TargetClient.create(edge.config()) as client:
        with pytest.raises(NotReadyError):
            client.get_offers_sync(dict(HERO, decisioningMethod="on-device"))


def test_waiting_for_the_first_artifact(edge: Edge, run: Run) -> None:
    edge.fault("stall", target="artifact")
    location = f"http://{edge.address}/acme/production/v1/rules.json"
    with TargetClient.create(edge.config(decisioningMethod="on-device", artifactLocation=location)) as client:
        with pytest.raises(TargetTimeoutError):
            client.wait_ready_sync(0.02)
        with pytest.raises(TargetTimeoutError):
            run(client.wait_ready(0.02))
        assert client.state == ClientState.STARTING


def test_notifications_of_decisions_are_sent_when_closing(edge: Edge) -> None:
    config = edge.config(**{key: value for key, value in on_device().items() if key not in ("offline", "client")})
    with TargetClient.create(config) as client:
        client.get_offers_sync(HERO)
        client.flush_sync()
    told = [json.loads(one["body"]).get("notifications") for one in edge.received()]
    assert any(told), told
