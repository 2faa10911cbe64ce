"""One call for the conformance cases: decide.py CONFIG.json OPTIONS.json

Prints the answer, or the error document, and closes the client, which sends the notifications of the decision.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from target_sdk import TargetClient, TargetError


async def main() -> None:
    config, options = (Path(path).read_text(encoding="utf-8") for path in sys.argv[1:])
    async with TargetClient.create(config) as client:
        try:
            await client.wait_ready()
            on_the_loop = await client.get_offers(options)
            print(json.dumps(on_the_loop))
        except TargetError as error:
            print(json.dumps(error.document))
            raise SystemExit(1) from error
        await client.close(drain=10)


asyncio.run(main())
