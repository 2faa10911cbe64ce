"""Feature flags: the attributes of JSON offers, with and without an event loop.

    python feature_flags.py 127.0.0.1:9700
"""

import asyncio
import sys

from target_sdk import TargetClient

MBOX = "demo-engineering-flags"


def main(server: str) -> None:
    config = {
        "client": "acme",
        "organizationId": "0123456789ABCDEF01234567@AdobeOrg",
        "serverDomain": server,
        "pinServerDomain": True,
        "secure": False,
    }
    with TargetClient.create(config) as client:
        flags = client.get_attributes_sync([MBOX])
        print(f"  searchProviderId   {flags[MBOX]['searchProviderId']}")
        # A flag that nobody has set up yet.
        print(f"  newCheckout        {flags.get_value(MBOX, 'newCheckout', default=False)}")
        print(f"  all of them        {flags[MBOX]}")

        on_a_loop = asyncio.run(client.get_attributes([MBOX], {"sessionId": "session-1"}))
        print(f"  the same on a loop {on_a_loop == flags}")


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} HOST:PORT")
main(sys.argv[1])
