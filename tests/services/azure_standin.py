"""A small Azure Pipelines on loopback, whose runs really build: stand-ins of the Windows files.

It keeps to ``azure.json`` beside it: in tests a validating proxy stands before it. The artifacts
are given by another server, as in life, which must never be shown what signs in at the first.
"""

from __future__ import annotations

import http.server
import io
import json
import re
import secrets
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from relkit.adapters.attempts import delivered_by
from relkit.adapters.processes import Places, ProcessBuilders
from relkit.rehearsal.standins import STANDINS
from relkit.values import Build

TOKEN = "an-azure-token-of-the-tests"  # noqa: S105 (it opens nothing but this stand-in)
PROJECT = "Python/cpython"
END_SECONDS = 10.0
DEFAULTS = {
    "GitRemote": "python",
    "SourceTag": "main",
    "SourceCommit": "empty",
    "DoPublish": "false",
    "SigningCertificate": "PythonSoftwareFoundation",
    "BuildToPublish": "current",
    "BuildToPackage": "current",
    "DoMSI": "true",
    "DoPGO": "true",
    "TestMSI": "true",
}
"""The parameters the pipeline declares; any other is refused, as Azure does."""
ROUTE = re.compile(
    rf"/{PROJECT}/_apis/(?:pipelines/(?P<pipeline>\d+)/(?P<what>preview|runs)(?:/(?P<run>\d+)"
    r"(?P<artifacts>/artifacts)?)?|build/builds(?:/(?P<build>\d+)"
    r"(?P<part>/artifacts|/timeline/(?P<plan>[0-9a-f-]+))?)?)"
)

Files = Callable[[str], Mapping[str, tuple[str, ...]]]
"""Says for a version which artifacts a run has, and which files are in each."""


@dataclass
class Run:
    """A run as it was asked for; tests may change `result` and `parameters` of one."""

    number: int
    parameters: dict[str, str]
    queued: datetime
    plan: str = field(default_factory=lambda: str(uuid.uuid4()))
    result: str = ""
    """Overrides how the build ended, in the words of builds; empty: as it did."""
    canceled: bool = False


@dataclass
class Azure:
    """The stand-in: `url` is the service's address; `leaked` what the downloads were shown."""

    builders: ProcessBuilders
    builds: Path
    files: Files
    pipeline: int
    url: str = ""
    blobs: str = ""
    runs: list[Run] = field(default_factory=list)
    previews: int = 0
    refusal: str = ""
    """What a trial is refused with."""
    leaked: list[str] = field(default_factory=list)
    signed: bool = True
    """Whether artifacts have a signed address; otherwise only builds say where they lie."""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    extra: dict[str, bytes] = field(default_factory=dict)
    """More members for each zip."""
    hidden: set[str] = field(default_factory=set)
    """Files which the zips lack."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, fields: Mapping[str, Any]) -> Run:
        """Start a run, and the process that makes its files."""
        asked: dict[str, str] = dict(fields["templateParameters"])
        with self.lock:
            number = 1000 + len(self.runs) + 1
            run = Run(number, DEFAULTS | asked, datetime.now(UTC))
            self.runs.append(run)
        version = run.parameters["SourceTag"].removeprefix("v")
        names = {name for names in self.files(version).values() for name in names}
        build = Build(
            name="windows",
            nonce=f"azure-{number}",
            version=version,
            commit=run.parameters["SourceCommit"],
            options={"files": ";".join(sorted(names)), "tag": run.parameters["SourceTag"]},
        )
        self.builders.start(build=build)
        return run

    def status(self, run: Run) -> tuple[str, str]:
        """Return status and result of a run in the words of builds."""
        if run.canceled:
            return "completed", "canceled"
        state = self.builders.state(name="windows", nonce=f"azure-{run.number}").status
        if state == "running":
            return "inProgress", ""
        return "completed", run.result or ("succeeded" if state == "done" else "failed")

    def end(self) -> None:
        """End all builds, and wait until their processes are gone."""
        pids = [int(path.read_text()) for path in self.builds.glob("azure-*/windows/*/pid")]
        for number in {run.number for run in self.runs}:
            self.builders.cancel(name="windows", nonce=f"azure-{number}")
        until = time.monotonic() + END_SECONDS
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
            self.builders.state(name="windows", nonce="none")  # looks after those that ended
            time.sleep(0.01)

    def zipped(self, number: int, artifact: str) -> bytes | None:
        """Return an artifact of a run that has ended well."""
        run = next((one for one in self.runs if one.number == number), None)
        out = delivered_by(self.builds, nonce=f"azure-{number}", name="windows")
        if run is None or out is None:
            return None
        names = self.files(run.parameters["SourceTag"].removeprefix("v")).get(artifact)
        if names is None:
            return None
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                if name not in self.hidden:
                    archive.write(out / name, f"{artifact}/{name}")
            for name, data in self.extra.items():
                archive.writestr(name, data)
        return made.getvalue()

    def address(self, run: Run, artifact: str) -> str:
        """Return where an artifact can be had by whoever has the address."""
        return f"{self.blobs}/{run.number}/{artifact}.zip?sig={self.key}"


@contextmanager
def azure_service(
    folder: Path, *, places: Places, files: Files, pipeline: int = 21
) -> Iterator[Azure]:
    """Run the stand-in; its builds are kept in `folder`, and find things by `places`."""
    builders = ProcessBuilders(folder, places, STANDINS)
    azure = Azure(builders, folder, files, pipeline)
    with ExitStack() as stack:
        port = stack.enter_context(_served(_Service, azure))
        blobs = stack.enter_context(_served(_Blobs, azure))
        azure.url = f"http://127.0.0.1:{port}/{PROJECT}/_apis/"
        azure.blobs = f"http://127.0.0.1:{blobs}"
        try:
            yield azure
        finally:
            azure.end()


@contextmanager
def azure_standin(
    folder: Path, *, places: Places, files: Files, pipeline: int = 21
) -> Iterator[str]:
    """Run the stand-in; yield its address, ``http://127.0.0.1:PORT``, as a proxy wants it."""
    with azure_service(folder, places=places, files=files, pipeline=pipeline) as azure:
        yield azure.url.partition(f"/{PROJECT}")[0]


@contextmanager
def _served(handler: type[_Handler], azure: Azure) -> Iterator[int]:
    class Bound(handler):  # type: ignore[valid-type,misc]  # a class is an argument here
        state = azure

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    state: Azure
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""

    def send(self, status: int, data: object, kind: str = "application/json") -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, message: str) -> None:
        self.send(status, {"message": message, "typeKey": "Refused"})


class _Blobs(_Handler):
    """Where the artifacts lie: whoever has an address gets one."""

    def do_GET(self) -> None:
        for name in ("Authorization", "Cookie"):
            if name in self.headers:
                self.state.leaked.append(f"{name}: {self.headers[name]}")
        parts = urlsplit(self.path)
        found = re.fullmatch(r"/(\d+)/([A-Za-z0-9_. -]+)\.zip", parts.path)
        if found is None or parse_qs(parts.query).get("sig") != [self.state.key]:
            self.refuse(403, "the address is not good any more")
        elif (data := self.state.zipped(int(found[1]), found[2])) is None:
            self.refuse(404, "there is no such artifact")
        else:
            self.send(200, data, "application/zip")


class _Service(_Handler):
    """The service."""

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        fields = json.loads(self.rfile.read(length) or b"{}")
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        found = ROUTE.fullmatch(parts.path)
        if not self._signed_in():
            self.refuse(401, "sign in")
        elif query.get("api-version") != "7.1":
            self.refuse(400, "no api-version")
        elif found is None:
            self.refuse(404, "no such address")
        elif found["pipeline"] and int(found["pipeline"]) != self.state.pipeline:
            self.refuse(404, "no such pipeline")
        elif self.command == "POST":
            self._begin(found["what"], fields)
        elif number := found["run"] or found["build"]:
            self._one(int(number), found, query, fields)
        else:
            self._list(query)

    do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 (the base class looks for these)

    def _signed_in(self) -> bool:
        kind, _, said = self.headers.get("Authorization", "").partition(" ")
        basic = "OmFuLWF6dXJlLXRva2VuLW9mLXRoZS10ZXN0cw=="
        return (kind, said) in {("Bearer", TOKEN), ("Basic", basic)}

    def _begin(self, what: str, fields: dict[str, Any]) -> None:
        unknown = {*fields["templateParameters"]} - {*DEFAULTS}
        if unknown or self.state.refusal:
            said = self.state.refusal or f"Unexpected parameter '{min(unknown)}'"
            self.refuse(400, said)
        elif what == "preview":
            self.state.previews += 1
            self.send(200, {"finalYaml": "stages:\n- stage: Build\n"})
        else:
            self.send(200, self._ran(self.state.start(fields)))

    def _list(self, query: dict[str, str]) -> None:
        since = datetime.fromisoformat(query.get("minTime", "2000-01-01T00:00:00Z"))
        until = datetime.fromisoformat(query.get("maxTime", "2999-01-01T00:00:00Z"))
        found = [self._made(run) for run in self.state.runs if since <= run.queued <= until]
        found = found[: int(query.get("$top", "100"))]
        self.send(200, {"count": len(found), "value": found})

    def _one(
        self, number: int, found: re.Match[str], query: dict[str, str], fields: dict[str, Any]
    ) -> None:
        run = next((one for one in self.state.runs if one.number == number), None)
        if run is None:
            self.refuse(404, f"no run {number}")
        elif self.command == "PATCH":
            run.canceled = fields["status"] == "cancelling"
            self.state.builders.cancel(name="windows", nonce=f"azure-{number}")
            self.send(200, self._made(run))
        elif found["artifacts"]:
            self._artifact(run, query["artifactName"])
        elif found["run"]:
            self.send(200, self._ran(run))
        elif found["plan"]:
            self.send(200, {"records": self._records(run)})
        elif found["part"]:
            names = self._artifacts(run)
            rows = [
                {"id": at, "name": name, "resource": {"downloadUrl": self.state.address(run, name)}}
                for at, name in enumerate(names, 1)
            ]
            self.send(200, {"count": len(rows), "value": rows})
        else:
            self.send(200, self._made(run))

    def _artifacts(self, run: Run) -> list[str]:
        return [*self.state.files(run.parameters["SourceTag"].removeprefix("v"))]

    def _artifact(self, run: Run, name: str) -> None:
        if name not in self._artifacts(run) or self.state.status(run)[0] != "completed":
            self.refuse(404, f"no artifact {name[:50]}")
            return
        address = self.state.address(run, name)
        signed = {"signedContent": {"url": address, "signatureExpires": "2099-01-01T00:00:00Z"}}
        self.send(200, {"name": name, **(signed if self.state.signed else {})})

    def _ran(self, run: Run) -> dict[str, object]:
        status, result = self.state.status(run)
        words = {"partiallySucceeded": "succeeded"}
        ended = {"result": words.get(result, result)} if status == "completed" else {}
        return {
            "id": run.number,
            "name": f"{run.queued:%Y%m%d}.{run.number}",
            "createdDate": run.queued.isoformat().replace("+00:00", "Z"),
            "state": status,
            **ended,
        }

    def _made(self, run: Run) -> dict[str, object]:
        status, result = self.state.status(run)
        return {
            "id": run.number,
            "status": status,
            "queueTime": run.queued.isoformat().replace("+00:00", "Z"),
            "definition": {"id": self.state.pipeline},
            "orchestrationPlan": {"planId": run.plan},
            "templateParameters": run.parameters,
            **({"result": result} if result else {}),
        }

    def _records(self, run: Run) -> list[dict[str, object]]:
        status, result = self.state.status(run)
        if status != "completed":
            return [{"type": "Stage", "name": "Build", "order": 1, "state": "inProgress"}]
        words = {"partiallySucceeded": "succeededWithIssues"}
        issues = [{"type": "error", "message": "signtool ended with 1"}]
        record: dict[str, object] = {"type": "Stage", "name": "Build", "order": 1}
        record |= {"state": "completed", "result": words.get(result, result)}
        return [record | ({} if result == "succeeded" else {"issues": issues})]
