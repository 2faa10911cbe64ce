"""Offers for several mboxes in one call, and the cookies for the visitor's next one.

    python several_mboxes.py 127.0.0.1:9700
"""

import asyncio
import sys

from target_sdk import TargetClient, TargetError


async def main(server: str) -> int:
    config = {
        "client": "acme",
        "organizationId": "0123456789ABCDEF01234567@AdobeOrg",
        # A local edge; leave these three out for Adobe's.
        "serverDomain": server,
        "pinServerDomain": True,
        "secure": False,
    }
    names = ["homepage-hero", "checkout-banner", "no-such-mbox"]
    async with TargetClient.create(config) as client:
        first = {"request": {"execute": {"mboxes": [{"name": name, "index": at} for at, name in enumerate(names)]}}}
        try:
            answer = await client.get_offers(first, timeout=1.5)
        except TargetError as error:
            # Show the default content: `error.retryable` and `error.document` say more.
            print(f"  no offers: {error}", file=sys.stderr)
            return 1
        for mbox in answer["response"]["execute"]["mboxes"]:
            contents = [option["content"] for option in mbox.get("options", [])]
            print(f"  {mbox['name']:<18} {contents or 'default content'}")

        # The cookie makes the next call one of the same visitor.
        cookie = answer["targetCookie"]
        print(f"  Set-Cookie: {cookie['name']}=...; Max-Age={cookie['maxAge']}")
        again = await client.get_offers({**first, "targetCookie": cookie["value"]})
        same = again["response"]["execute"] == answer["response"]["execute"]
        print(f"  the same visitor sees {'the same' if same else 'something else'}")
    return 0


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} HOST:PORT")
sys.exit(asyncio.run(main(sys.argv[1])))
