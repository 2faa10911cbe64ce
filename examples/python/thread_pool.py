"""Synchronous calls from a pool of threads, as in a WSGI server. Other threads run while one waits.

    python thread_pool.py 127.0.0.1:9700
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from target_sdk import Answer, TargetClient, TargetError


def main(server: str) -> None:
    config = {
        "client": "acme",
        "organizationId": "0123456789ABCDEF01234567@AdobeOrg",
        "serverDomain": server,
        "pinServerDomain": True,
        "secure": False,
    }
    with TargetClient.create(config) as client, ThreadPoolExecutor(8) as pool:

        def serve(page: str) -> Answer:
            mboxes = [{"name": "homepage-hero"}] if page != "/broken" else "none"
            return client.get_offers_sync({"request": {"execute": {"mboxes": mboxes}}})

        pages = {page: pool.submit(serve, page) for page in ("/", "/shoes", "/checkout", "/broken")}
        for page, future in pages.items():
            try:
                mbox = future.result()["response"]["execute"]["mboxes"][0]
                print(f"  {page:<10} {mbox['options'][0]['content']}")
            except TargetError as error:
                print(f"  {page:<10} default content ({error.name} at {error.path})")
        print(f"  calls      {client.stats()['calls']}")


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} HOST:PORT")
main(sys.argv[1])
