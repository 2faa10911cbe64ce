"""Decides in this process, from a rules artifact in a file, without any network.

A client with "artifactFile" and without "offline" would download the artifact, keep the file up to date, and fall back to it
when it starts while the network is not there.

    python on_device.py artifact.json
"""

import sys

from target_sdk import TargetClient


def main(artifact: str) -> None:
    config = {
        "client": "acme",
        "organizationId": "ORG@AdobeOrg",
        "decisioningMethod": "on-device",
        "offline": True,
        "artifactFile": artifact,
    }
    with TargetClient.create(config) as client:
        client.wait_ready_sync(timeout=5)  # the file is read in the background
        # The visitor's id chooses the experience: the same id always gets the same one.
        request = {
            "id": {"tntId": "visitor-4711.28_0"},
            "context": {"channel": "web"},
            "execute": {"mboxes": [{"name": "a1-serverside-ab"}]},
        }
        answer = client.get_offers_sync({"request": request})
        print(f"  offer    {answer['response']['execute']['mboxes'][0]['options'][0]['content']}")
        print(f"  decided  {answer['meta']['decisioningMethod']}")


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} ARTIFACT_FILE")
main(sys.argv[1])
