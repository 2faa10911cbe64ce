"""The methods of Adobe's Python SDK over this library, with its models and ours."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import subprocess
import sys
import threading
from typing import Any, Dict, Iterator, List

import delivery_api_client  # type: ignore[import-untyped]
import pytest
from delivery_api_client.exceptions import ApiException  # type: ignore[import-untyped]

from support import DATA, FLAGS, HERO, PACKAGES, PATIENCE, ROOT, Edge, ended, python
from target_sdk import HttpError, InvalidOptionsError, NoAttributeError, TargetError
from target_sdk.compat import AsyncResult, AttributesProvider, TargetClient, models

TNT = HERO["request"]["id"]["tntId"]
FAMILIES = [pytest.param(models, id="ours"), pytest.param(delivery_api_client, id="adobe")]


def options(edge: Edge, **more: Any) -> Dict[str, Any]:
    return {
        "client": "acme",
        "organization_id": "0123456789ABCDEF01234567@AdobeOrg",
        "server_domain": edge.address,
        "pin_server_domain": True,
        "secure": False,
        "timeout": int(PATIENCE * 1000),
        "telemetry_enabled": False,
        **more,
    }


@pytest.fixture
def client(edge: Edge) -> Iterator[TargetClient]:
    with TargetClient.create(options(edge)) as client:
        yield client


def hero(family: Any) -> Any:
    """The documentation's request: one mbox of a visitor who is known."""
    return family.DeliveryRequest(
        id=family.VisitorId(tnt_id=TNT),
        context=family.Context(channel=family.ChannelType.WEB, address=family.Address(url="http://127.0.0.1/"), beacon=False),
        execute=family.ExecuteRequest(
            mboxes=[
                family.MboxRequest(name="homepage-hero", index=1, parameters={"page_load": "1", "cityName": "Köln"})
            ]
        ),
    )


class Waiting:
    """A callback and what it got."""

    def __init__(self) -> None:
        self.got: List[Any] = []
        self.thread = ""
        self._event = threading.Event()

    def __call__(self, value: Any) -> None:
        self.got.append(value)
        self.thread = threading.current_thread().name
        self._event.set()

    def value(self) -> Any:
        assert self._event.wait(PATIENCE), "the callback was not called"
        return self.got[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_offers_of_a_model(client: TargetClient, edge: Edge, family: Any) -> None:
    request = hero(family)
    before = copy.deepcopy(request)
    answer = client.get_offers({"request": request, "session_id": "s1"})
    assert request == before, "the host's request is not changed"
    response = answer["response"]
    assert type(response) is family.DeliveryResponse and type(answer["request"]) is family.DeliveryRequest
    mbox = response.execute.mboxes[0]
    assert mbox.name == "homepage-hero" and mbox.index == 1
    assert mbox.options[0].type == family.OptionType.HTML and "hero" in mbox.options[0].content
    assert response.to_dict()["execute"]["mboxes"][0]["name"] == "homepage-hero"
    assert answer["target_cookie"]["name"] == "mbox" and answer["target_cookie"]["value"].startswith("session#s1#")
    assert answer["response_tokens"][0]["activity.id"] == 900002, "keys of the response tokens are not renamed"
    assert answer["meta"]["decisioning_method"] == "server-side" and answer["meta"]["remote_mboxes"] == []
    assert answer["request"].execute.mboxes[0].name == "homepage-hero"
    sent = json.loads(edge.received()[-1]["body"])
    assert sent["execute"]["mboxes"][0]["parameters"] == {"page_load": "1", "cityName": "Köln"}
    assert sent["id"]["tntId"] == TNT and sent["context"]["address"] == {"url": "http://127.0.0.1/"}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_dict_in_either_case_asks_the_same(client: TargetClient, edge: Edge, family: Any) -> None:
    snake = hero(family).to_dict()
    camel = {
        "id": {"tntId": TNT},
        "context": {"channel": "web", "address": {"url": "http://127.0.0.1/"}, "beacon": False},
        "execute": {
            "mboxes": [{"name": "homepage-hero", "index": 1, "parameters": {"page_load": "1", "cityName": "Köln"}}]
        },
    }
    answers = [client.get_offers({"request": request, "session_id": "s1"}) for request in (snake, camel)]
    first, second = (json.loads(one["body"]) for one in edge.received()[-2:])
    for body in (first, second):
        del body["requestId"], body["experienceCloud"]["analytics"]["supplementalDataId"]  # new for each call
    assert first == second
    for answer in answers:
        assert answer["response"]["execute"]["mboxes"][0]["name"] == "homepage-hero"


def test_models_are_those_of_adobe() -> None:
    names = [name for name in vars(delivery_api_client) if hasattr(getattr(delivery_api_client, name), "openapi_types")]
    # Parts of other models, which the generator of Adobe's package has left there.
    names = [name for name in names if not name.endswith("AllOf")]
    assert len(names) > 50
    for name in names:
        theirs, ours = getattr(delivery_api_client, name), getattr(models, name)
        if not theirs.openapi_types:
            constants = {key: value for key, value in vars(theirs).items() if key.isupper()}
            assert constants.items() <= vars(ours).items(), name
            continue
        count = len(theirs.attribute_map)
        assert list(ours.attribute_map.items())[:count] == list(theirs.attribute_map.items()), name
        for attribute, kind in theirs.openapi_types.items():
            if hasattr(models, kind) and hasattr(getattr(models, kind), "openapi_types"):
                assert ours.openapi_types[attribute] == kind, f"{name}.{attribute}"
            elif kind.startswith("list["):
                assert ours.openapi_types[attribute] == kind, f"{name}.{attribute}"


@pytest.mark.parametrize("family", FAMILIES)
def test_callbacks(client: TargetClient, family: Any) -> None:
    offers, failed = Waiting(), Waiting()
    call = {"request": hero(family), "session_id": "s1", "callback": offers, "err_callback": failed}
    result = client.get_offers(call)
    assert isinstance(result, AsyncResult)
    assert type(offers.value()["response"]) is family.DeliveryResponse
    assert result.get(PATIENCE) is offers.value() and result.ready() and result.successful()
    assert offers.thread != threading.current_thread().name and not failed.got
    assert set(call) == {"request", "session_id", "callback", "err_callback"}, "the options are not changed"


def test_callbacks_may_call_and_wait(client: TargetClient) -> None:
    """More deeply than there are threads anywhere."""
    depth, finished = 12, Waiting()

    def next_call(left: int) -> None:
        def then(answer: Any) -> None:
            client.get_offers({"request": hero(models)})
            if left:
                next_call(left - 1)
            else:
                finished(answer)

        client.get_offers({"request": hero(models), "callback": then}).get(PATIENCE)

    next_call(depth)
    assert finished.value()["status"] == 200


def test_errors(client: TargetClient, edge: Edge) -> None:
    with pytest.raises(TargetError, match="Either pageLoad or mboxes is required in execute"):
        client.get_offers({"request": models.DeliveryRequest(execute=models.ExecuteRequest(mboxes=[]))})
    for broken in ({"request": hero(models), "callback": 3}, {"request": hero(models), "err_callback": "f"}):
        with pytest.raises(InvalidOptionsError, match="callable"):
            client.get_offers(broken)
    with pytest.raises(InvalidOptionsError, match="Options"):
        client.get_offers({})
    with pytest.raises(InvalidOptionsError, match="Request object is required"):
        client.get_offers({"session_id": "s1"})
    with pytest.raises(InvalidOptionsError, match="Notifications array is required"):
        client.send_notifications({"request": hero(models)})
    with pytest.raises(InvalidOptionsError) as named:
        client.get_offers({"request": models.DeliveryRequest(execute=models.ExecuteRequest(mboxes=3))})  # type: ignore[arg-type]
    assert named.value.path == "/request/execute/mboxes"

    edge.fault("status:403", times=2)
    with pytest.raises(ApiException) as refused:
        client.get_offers({"request": hero(models)})
    assert refused.value.status == 403
    assert isinstance(refused.value, HttpError) and refused.value.http_status == 403
    failed = Waiting()
    result = client.get_offers({"request": hero(models), "callback": Waiting(), "err_callback": failed})
    assert isinstance(failed.value(), ApiException)
    with pytest.raises(HttpError):
        result.get(PATIENCE)
    assert not result.successful()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "Options are required"),
        ({"client": "acme"}, "Organization Id is required"),
        ({"organization_id": "1@AdobeOrg"}, "Client is required"),
        ({"client": "acme", "organization_id": "1@AdobeOrg", "decisioning_method": "magic"}, "Invalid Decisioning Method"),
        ({"client": "acme", "organization_id": "1@AdobeOrg", "events": {"client_ready": 1}}, "not callable"),
        ({"client": "acme", "organization_id": "1@AdobeOrg", "logger": "log"}, "logging.Logger"),
    ],
)
def test_wrong_options_of_a_client(wrong: Dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=said):
        TargetClient.create(wrong)


def test_the_constructor_is_private() -> None:
    with pytest.raises(TargetError, match="TargetClient.create"):
        TargetClient({"client": "acme", "organization_id": "1@AdobeOrg"})


def test_attributes(client: TargetClient) -> None:
    provider = client.get_attributes([FLAGS])
    assert isinstance(provider, AttributesProvider)
    assert provider.get_value(FLAGS, "searchProviderId") == 143
    assert provider.as_object(FLAGS) == provider.as_object()[FLAGS]
    assert provider.as_object("none") is None
    assert isinstance(provider.get_response()["response"], models.DeliveryResponse)
    for mbox, key in ((FLAGS, "none"), ("none", "searchProviderId")):
        with pytest.raises(NoAttributeError, match=f"Attribute '{key}' does not exist for mbox '{mbox}'"):
            provider.get_value(mbox, key)

    got = Waiting()
    request = hero(delivery_api_client)
    result = client.get_attributes([FLAGS], {"request": request, "session_id": "s1", "callback": got})
    assert got.value().get_value(FLAGS, "searchProviderId") == 143
    assert result.get(PATIENCE) is got.value()
    names = [mbox.name for mbox in got.value().get_response()["response"].execute.mboxes]
    assert sorted(names) == [FLAGS, "homepage-hero"]
    assert len(request.execute.mboxes) == 1, "the host's request is not changed"


def test_notifications(client: TargetClient, edge: Edge) -> None:
    prefetched = client.get_offers(
        {
            "request": models.DeliveryRequest(
                prefetch=models.PrefetchRequest(mboxes=[models.MboxRequest(name="homepage-hero", index=1)])
            ),
            "session_id": "s1",
        }
    )
    mbox = prefetched["response"].prefetch.mboxes[0]
    shown = models.Notification(
        id="n1",
        type=models.MetricType.DISPLAY,
        timestamp=1_700_000_000_000,
        tokens=[mbox.options[0].event_token],
        mbox=models.NotificationMbox(name=mbox.name, state=mbox.state),
    )
    answer = client.send_notifications(
        {
            "request": models.DeliveryRequest(notifications=[shown]),
            "session_id": "s1",
            "target_cookie": prefetched["target_cookie"]["value"],
        }
    )
    assert answer["response"].notifications[0].id == "n1"
    sent = json.loads(edge.received()[-1]["body"])
    assert sent["notifications"][0]["tokens"] == [mbox.options[0].event_token]


def test_to_thread_as_documented(client: TargetClient) -> None:
    async def ask() -> List[Any]:
        call = {"request": hero(delivery_api_client)}
        return await asyncio.gather(*(asyncio.to_thread(client.get_offers, call) for _ in range(20)))

    assert [answer["response"].status for answer in asyncio.run(ask())] == [200] * 20


class Visitor:
    """What Adobe's SDK asks of a visitor object."""

    def get_visitor_values(self) -> Dict[str, Any]:
        return {"MCMID": "11112222333344445555666677778888999900", "MCAAMLH": "9", "MCAAMB": "blob"}

    def get_state(self) -> Dict[str, Any]:
        return {"0123456789ABCDEF01234567@AdobeOrg": {"customer_ids": {"crm": {"id": "c1", "authState": 1}}}}

    def get_supplemental_data_id(self, consumer_id: str) -> str:
        assert consumer_id == "page"
        return "2FE1A2C77D1F3C2A-7B1B0AC1F0A9A3D5"


def test_a_visitor_object(client: TargetClient, edge: Edge) -> None:
    visitor = Visitor()
    request = models.DeliveryRequest(
        id=models.VisitorId(customer_ids=[models.CustomerId("u1", "site", models.AuthenticatedState.LOGGED_OUT)]),
        execute=models.ExecuteRequest(mboxes=[models.MboxRequest(name="homepage-hero")]),
    )
    answer = client.get_offers({"request": request, "visitor": visitor, "consumer_id": "page"})
    assert answer["visitor_state"] == visitor.get_state()
    sent = json.loads(edge.received()[-1]["body"])
    assert sent["id"]["marketingCloudVisitorId"] == "11112222333344445555666677778888999900"
    assert sent["id"]["customerIds"] == [
        {"id": "c1", "integrationCode": "crm", "authenticatedState": "authenticated"},
        {"id": "u1", "integrationCode": "site", "authenticatedState": "logged_out"},
    ]
    assert sent["experienceCloud"]["audienceManager"] == {"locationHint": 9, "blob": "blob"}
    assert sent["experienceCloud"]["analytics"]["supplementalDataId"] == visitor.get_supplemental_data_id("page")


def test_events_after_create_has_returned(edge: Edge) -> None:
    ready = Waiting()
    clients: List[TargetClient] = []

    def on_ready(event: Dict[str, Any]) -> None:
        answer = clients[0].get_offers({"request": hero(models)})
        ready((event, answer))

    clients.append(TargetClient.create(options(edge, events={"client_ready": on_ready})))
    event, answer = ready.value()
    assert event["type"] == "client_ready" and answer["status"] == 200
    clients[0].close()


def test_on_device(edge: Edge) -> None:
    downloaded, ready = Waiting(), Waiting()
    events = {"artifact_download_succeeded": downloaded, "client_ready": ready}
    made = options(
        edge,
        decisioning_method="on-device",
        artifact_location=f"http://{edge.address}/acme/production/v1/rules.json",
        polling_interval=0,
        maximum_wait_ready=int(PATIENCE * 1000),
        events=events,
    )
    before = edge.deliveries()
    with TargetClient.create(made) as client:
        answers = [client.get_offers({"request": hero(family)}) for family in (models, delivery_api_client)]
        got = Waiting()
        client.get_offers({"request": hero(models), "callback": got})
        assert answers[0]["meta"]["decisioning_method"] == "on-device" == got.value()["meta"]["decisioning_method"]
        contents = {answer["response"].execute.mboxes[0].options[0].content for answer in (*answers, got.value())}
        assert len(contents) == 1
        assert edge.deliveries() == before
        event = downloaded.value()
        assert ready.value()["type"] == "client_ready"
        assert event["artifact_payload"]["version"] == json.loads((DATA / "artifact.json").read_text())["version"]
        assert event["artifact_location"].endswith("/rules.json")


def test_no_rules_are_said_and_tried_again(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    made = options(
        edge,
        decisioning_method="on-device",
        artifact_location=f"http://{edge.address}/nowhere.json",
        polling_interval=0,
    )
    with caplog.at_level(logging.ERROR, "target_sdk"), TargetClient.create(made) as client:
        assert any("no rules to decide with yet" in record.getMessage() for record in caplog.records)
        with pytest.raises(TargetError):
            client.get_offers({"request": hero(models)})


def test_the_polling_interval_is_in_seconds() -> None:
    with pytest.raises(TargetError) as refused:
        TargetClient.create({"client": "acme", "organization_id": "1@AdobeOrg", "polling_interval": 5_000_000})
    assert refused.value.path == "/pollingInterval", "5,000,000,000 ms are too many"


def test_a_logger_of_the_host(edge: Edge) -> None:
    logger = logging.getLogger("adobe.target.test")
    logger.setLevel(logging.INFO)
    records: List[logging.LogRecord] = []
    arrived = threading.Event()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)
            arrived.set()

    logger.addHandler(Keep())
    library = logging.getLogger("target_sdk")
    handlers, level = list(library.handlers), library.level
    try:
        with TargetClient.create(options(edge, logger=logger, no_such_option=1)):
            assert arrived.wait(PATIENCE)
        assert any("noSuchOption" in record.getMessage() for record in records)
    finally:
        library.handlers[:] = handlers
        library.setLevel(level)


def test_calls_with_callbacks_are_finished_at_the_end_of_the_program(edge: Edge) -> None:
    edge.ask("POST", "/debug/fault", {"delayMs": 700, "times": 1})
    code = """
import json, sys
from target_sdk.compat import TargetClient, models
client = TargetClient.create(json.loads(sys.argv[1]))
mboxes = [models.MboxRequest(name="homepage-hero", index=1)]
client.get_offers({
    "request": models.DeliveryRequest(execute=models.ExecuteRequest(mboxes=mboxes)),
    "callback": lambda answer: print(answer["response"].status, flush=True),
    "err_callback": lambda error: print(error, flush=True),
})
"""
    assert ended(python(code, json.dumps(options(edge)))).strip() == "200"


def test_the_example(edge: Edge) -> None:
    environment = {**os.environ, "PYTHONPATH": PACKAGES}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "python" / "drop_in.py"), edge.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == ["asyncio"] * 2 + ["attributes"] + ["callback"] * 2
    assert "searchProviderId = 143" in done.stdout
