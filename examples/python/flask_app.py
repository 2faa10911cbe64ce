"""A web page with a personalised headline. Whoever comes back sees the same one.

The visitor is known by the cookie `mbox`: its value goes to Target with each call, and what comes back is set again.

    pip install flask
    python flask_app.py 127.0.0.1:9700 [PORT]
"""

import sys
from typing import Any, Dict

from flask import Flask, Response, make_response, render_template_string, request
from markupsafe import Markup
from werkzeug.serving import make_server

from target_sdk import TargetClient, TargetError, cookie_name, location_hint_cookie_name

MBOX = "homepage-hero"
DEFAULT = "<section class='hero'>Welcome</section>"
PAGE = """<!doctype html>
<title>Demo</title>
{{ hero }}
<p id="experience">{{ experience }}</p>
"""


def make_app(client: TargetClient) -> Flask:
    app = Flask(__name__)

    @app.get("/")
    def home() -> Response:
        options: Dict[str, Any] = {
            "request": {
                "context": {
                    "channel": "web",
                    "address": {"url": request.url, "referringUrl": request.referrer},
                    "userAgent": request.user_agent.string,
                },
                "execute": {"mboxes": [{"name": MBOX}]},
            },
            "targetCookie": request.cookies.get(cookie_name()),
            "targetLocationHint": request.cookies.get(location_hint_cookie_name()),
        }
        hero, experience, cookies = DEFAULT, "default content", []
        try:
            answer = client.get_offers_sync(options, timeout=1.0)
        except TargetError as error:  # the page goes out all the same
            app.logger.warning("default content: %s", error)
        else:
            offers = answer["response"]["execute"]["mboxes"][0].get("options", [])
            if offers:
                hero = offers[0]["content"]
                experience = offers[0]["responseTokens"]["experience.name"]
            cookies = [answer[key] for key in ("targetCookie", "targetLocationHintCookie") if key in answer]

        # An HTML offer is markup, written by those who made the activity.
        page = make_response(render_template_string(PAGE, hero=Markup(hero), experience=experience))
        for cookie in cookies:
            page.set_cookie(cookie["name"], cookie["value"], max_age=cookie["maxAge"], samesite="Lax")
        return page

    return app


def main(server: str, port: int) -> None:
    config = {
        "client": "acme",
        "organizationId": "0123456789ABCDEF01234567@AdobeOrg",
        "serverDomain": server,
        "pinServerDomain": True,
        "secure": False,
    }
    with TargetClient.create(config) as client:
        web = make_server("127.0.0.1", port, make_app(client), threaded=True)
        print(f"http://127.0.0.1:{web.port}/", flush=True)
        try:
            web.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(f"usage: {sys.argv[0]} HOST:PORT [PORT]")
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 5000)
