"""A program for Adobe's Python SDK, with one import changed: callbacks, asyncio, attributes.

    python drop_in.py 127.0.0.1:9700
"""

import asyncio
import sys
import threading
from typing import Any, Dict

from target_sdk.compat import TargetClient
from target_sdk.compat.models import ChannelType, Context, DeliveryRequest, ExecuteRequest, MboxRequest


def request(*names: str) -> DeliveryRequest:
    mboxes = [MboxRequest(name=name, index=index) for index, name in enumerate(names, 1)]
    return DeliveryRequest(context=Context(channel=ChannelType.WEB), execute=ExecuteRequest(mboxes=mboxes))


def on_ready(event: Dict[str, Any]) -> None:
    ready.set()


def on_offers(answer: Dict[str, Any]) -> None:
    for mbox in answer["response"].execute.mboxes:
        print(f"  callback   {mbox.name}: {mbox.options[0].type}")


def on_failure(error: Exception) -> None:
    print(f"  failed     {error}")


async def several(client: TargetClient) -> None:
    calls = [{"request": request(name)} for name in ("homepage-hero", "demo-engineering-flags")]
    answers = await asyncio.gather(*(asyncio.to_thread(client.get_offers, call) for call in calls))
    for answer in answers:
        print(f"  asyncio    {answer['response'].execute.mboxes[0].name}: {answer['target_cookie']['name']} cookie")


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} HOST:PORT")
ready = threading.Event()
target_client = TargetClient.create(
    {
        "client": "acme",
        "organization_id": "0123456789ABCDEF01234567@AdobeOrg",
        "server_domain": sys.argv[1],
        "pin_server_domain": True,
        "secure": False,
        "events": {"client_ready": on_ready},
    }
)
ready.wait()
target_client.get_offers(
    {"request": request("homepage-hero", "demo-engineering-flags"), "callback": on_offers, "err_callback": on_failure}
).wait()
asyncio.run(several(target_client))
flags = target_client.get_attributes(["demo-engineering-flags"])
print(f"  attributes searchProviderId = {flags.get_value('demo-engineering-flags', 'searchProviderId')}")
target_client.close()
