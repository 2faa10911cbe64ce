"""Tries an installed package: smoke.py HOST:PORT ARTIFACT_FILE

One decision on the device, from the file; one call to a local edge, on an event loop.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Dict

import target_sdk
from target_sdk import TargetClient

WHO = {"client": "acme", "organizationId": "0123456789ABCDEF01234567@AdobeOrg"}
REQUEST: Dict[str, Any] = {"id": {"tntId": "visitor-4711.28_0"}, "execute": {"mboxes": [{"name": "homepage-hero", "index": 0}]}}


def content(answer: target_sdk.Answer) -> str:
    return str(answer["response"]["execute"]["mboxes"][0]["options"][0]["content"])


async def remote(server: str) -> target_sdk.Answer:
    config = {**WHO, "serverDomain": server, "pinServerDomain": True, "secure": False}
    async with TargetClient.create(config) as client:
        return await client.get_offers({"request": REQUEST})


def main(server: str, artifact: str) -> None:
    config = {**WHO, "decisioningMethod": "on-device", "offline": True, "artifactFile": artifact}
    with TargetClient.create(config) as client:
        client.wait_ready_sync()
        local = client.get_offers_sync({"request": REQUEST})
    asked = asyncio.run(remote(server))
    assert local["meta"]["decisioningMethod"] == "on-device" and asked["meta"]["decisioningMethod"] == "server-side"
    assert content(local) == content(asked), (local, asked)

    package = Path(target_sdk.__file__).parent
    assert package.parts[-2] == "site-packages", f"this is not the installed package: {package}"
    assert target_sdk._native._path == str(package / "lib" / "libtarget_sdk.so.0")
    assert version("target-sdk") == target_sdk.__version__ == target_sdk.library_version()
    print(f"target-sdk {target_sdk.__version__}, Python {sys.version.split()[0]}: {content(local)}")


main(*sys.argv[1:])
