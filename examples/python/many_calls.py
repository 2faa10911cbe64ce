"""1,000 calls on one event loop, 100 of them at a time.

A client refuses more than maxInFlight + maxQueued calls at once (QueueFullError); a semaphore makes the others wait here.

    python many_calls.py 127.0.0.1:9700
"""

import asyncio
import sys
import time

from target_sdk import TargetClient


async def main(server: str) -> None:
    config = {
        "client": "acme",
        "organizationId": "0123456789ABCDEF01234567@AdobeOrg",
        "serverDomain": server,
        "pinServerDomain": True,
        "secure": False,
        "timeout": 10_000,
    }
    async with TargetClient.create(config) as client:
        turns = asyncio.Semaphore(100)

        async def offer(visitor: int) -> str:
            mbox = {"name": "homepage-hero", "parameters": {"visitor": str(visitor)}}
            async with turns:
                answer = await client.get_offers({"request": {"execute": {"mboxes": [mbox]}}})
            return str(answer["response"]["execute"]["mboxes"][0]["options"][0]["content"])

        started = time.perf_counter()
        offers = await asyncio.gather(*(offer(visitor) for visitor in range(1000)))
        took = time.perf_counter() - started
        print(f"  {len(offers)} answers in {took:.2f} s")
        for content in sorted(set(offers)):
            print(f"  {offers.count(content):>4} x {content}")


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} HOST:PORT")
asyncio.run(main(sys.argv[1]))
