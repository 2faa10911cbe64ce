"""An nginx of its own that answers every call with the same 1 KB body."""

import json
import shutil
import socket
import subprocess
import sys
import time

# What Target's Delivery API might answer, 1,024 bytes long.
_ANSWER = {
    "status": 200,
    "requestId": "0123456789abcdef0123456789abcdef",
    "client": "acme",
    "id": {"tntId": "338e3c1e51f7416a8e1ccba4f81acea0.28_0"},
    "edgeHost": "127.0.0.1",
    "execute": {"mboxes": [{"index": 0, "name": "homepage-hero", "options": [{"type": "html", "content": ""}]}]},
}


def body(size=1024):
    _ANSWER["execute"]["mboxes"][0]["options"][0]["content"] = ""
    rest = size - len(json.dumps(_ANSWER, separators=(",", ":")))
    _ANSWER["execute"]["mboxes"][0]["options"][0]["content"] = "x" * rest
    return json.dumps(_ANSWER, separators=(",", ":"))


_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 '{body}'; }}
    }}
}}
"""


class Nginx:
    """Runs while the `with` block does; `port` is the one it listens on."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            sys.exit("nginx is not installed (Debian: nginx-light)")
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        config = self.folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self.folder, port=self.port, body=body()), encoding="utf-8")
        self.process = subprocess.Popen([program, "-e", str(self.folder / "error.log"), "-c", str(config)])
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        self.__exit__()
        sys.exit("nginx does not listen")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
