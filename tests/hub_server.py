"""A model hub on loopback: what loading a model needs of the Hub's protocol, and its failures on request.

A repository is a folder of real files; its name decides how the server behaves, so one server has every
fault. Run it in the test (`with HubServer(models) as hub:`) and set HF_ENDPOINT of a subprocess to `hub.url`:
the client reads that variable once, when it is imported.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "1" * 40
TAGGED = "2" * 40
REVISIONS = {"main": COMMIT, "v1.0": TAGGED, COMMIT: COMMIT, TAGGED: TAGGED}


@dataclass
class HubServer:
    """Repositories by name. `faults` gives a name one of private, gated, forbidden, bad-token, limited,
    broken, slow, cut (weights break off half-way), vast (the listing claims a petabyte)."""

    models: dict[str, Path] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    """Old names that redirect to new ones, as gpt2 does to openai-community/gpt2."""
    cdn_tokens: set[str] = field(default_factory=set)
    slow_s: float = 30.0
    datasets: dict[str, Path] = field(default_factory=dict)
    """Repositories of datasets, with the same faults."""

    def __enter__(self) -> "HubServer":
        hub = self

        class Handler(_Handler):
            server_of = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def repositories(self) -> dict[str, str]:
        """Every name with its kind, as both stand in addresses."""
        return {**dict.fromkeys(self.models, "models"), **dict.fromkeys(self.datasets, "datasets")}

    def folder(self, name: str) -> Path:
        """Where a repository's files lie."""
        return {**self.models, **self.datasets}[name]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: HubServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Nothing: tests read `requests`."""

    def _answer(self, *, body: bool) -> None:
        hub, path = self.server_of, unquote(urlsplit(self.path).path)
        hub.requests.append(f"{self.command} {path}")
        if path.startswith("/cdn/"):
            hub.cdn_tokens.add(self.headers.get("Authorization", ""))
            with _hanging_up_is_fine():
                self._send_file(*path.removeprefix("/cdn/").rsplit("/", 1), body)
            return
        if path.startswith("/control/"):  # /control/FAULT/OWNER/NAME: from now on, this model has this fault
            fault, _, name = path.removeprefix("/control/").partition("/")
            hub.faults[name] = fault
            return self._send_json({}, body)
        hub.tokens.add(self.headers.get("Authorization", ""))
        for old, new in hub.aliases.items():
            for prefix in (f"/api/models/{old}", f"/{old}/resolve"):
                if path == prefix or path.startswith(f"{prefix}/"):
                    self._redirect(307, self.path.replace(old, new, 1), {})
                    return
        for name, kind in sorted(hub.repositories.items(), key=lambda one: len(one[0]), reverse=True):
            files = f"/{name}/resolve/" if kind == "models" else f"/datasets/{name}/resolve/"
            for prefix, answer in ((f"/api/{kind}/{name}", self._api), (files, self._file)):
                if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                    with _hanging_up_is_fine():
                        answer(name, path[len(prefix) :].strip("/"), body)
                    return
        self._refuse(401, "RepoNotFound", body)  # the real Hub tells strangers nothing more either

    def _api(self, name: str, rest: str, body: bool) -> None:
        hub, fault = self.server_of, self.server_of.faults.get(name)
        if fault == "slow":
            hub._stopping.wait(hub.slow_s)
        status = {
            "private": 401,
            "forbidden": 403,
            "bad-token": 401,
            "limited": 429,
            "broken": 500,
            "slow": 503,
        }
        if fault in status:
            self._refuse(status[fault], "RepoNotFound" if fault == "private" else None, body, fault=fault)
        elif rest == "refs":
            kinds = {"branches": ["main"], "tags": ["v1.0"], "converts": []}
            named = {
                kind: [{"name": ref, "ref": ref, "targetCommit": COMMIT} for ref in refs]
                for kind, refs in kinds.items()
            }
            self._send_json(named, body)
        elif (revision := rest.removeprefix("revision/") or "main") not in REVISIONS:
            self._refuse(404, "RevisionNotFound", body)
        else:
            folder = hub.folder(name)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            siblings = [
                {
                    "rfilename": path.relative_to(folder).as_posix(),
                    "size": 10**15 if fault == "vast" else path.stat().st_size,
                    "blobId": _etag(path),
                }
                for path in files
            ]
            sha = REVISIONS[revision]
            self._send_json(
                {"_id": name, "id": name, "modelId": name, "sha": sha, "siblings": siblings}, body
            )

    def _file(self, name: str, rest: str, body: bool) -> None:
        fault = self.server_of.faults.get(name)
        revision, _, filename = rest.partition("/")
        path = self.server_of.folder(name) / filename
        if fault == "gated":
            self._refuse(401, "GatedRepo", body)
        elif revision not in REVISIONS:
            self._refuse(404, "RevisionNotFound", body)
        elif not path.is_file():
            self._refuse(404, "EntryNotFound", body)
        elif filename.endswith(".safetensors"):  # large files lie on another host, to which no token may go
            linked = {"X-Linked-Etag": f'"{_etag(path)}"', "X-Linked-Size": str(path.stat().st_size)}
            port = self.server_of._server.server_address[1]
            location = f"http://localhost:{port}/cdn/{name}/{filename}"
            self._redirect(302, location, linked | {"X-Repo-Commit": REVISIONS[revision]})
        else:
            self._send_file(name, filename, body, {"X-Repo-Commit": REVISIONS[revision]})

    def _send_file(self, name: str, filename: str, body: bool, headers: dict[str, str] | None = None) -> None:
        path = self.server_of.folder(name) / filename
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{_etag(path)}"')
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "none")
        for header, value in (headers or {}).items():
            self.send_header(header, value)
        self.end_headers()
        if body and self.server_of.faults.get(name) == "cut":
            half = len(content) // 2 if filename.endswith(".safetensors") else len(content)
            self.wfile.write(content[:half])
            self.close_connection = half < len(content)
        elif body:
            self.wfile.write(content)

    def _redirect(self, status: int, location: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in {"Location": location, "Content-Length": "0", **headers}.items():
            self.send_header(header, value)
        self.end_headers()

    def _refuse(self, status: int, code: str | None, body: bool, fault: str | None = None) -> None:
        content = b'{"error": "no"}'
        self.send_response(status)
        if code is not None:
            self.send_header("X-Error-Code", code)
        if fault == "bad-token":
            self.send_header("X-Error-Message", "Invalid credentials in Authorization header")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _send_json(self, value: object, body: bool) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def _hanging_up_is_fine() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, ConnectionResetError):
        time.sleep(0)  # the client gave up waiting, as the test of a slow hub wants it to


def _etag(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
