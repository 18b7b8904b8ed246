"""The workflow that makes a release's builds, as the stand-in of GitHub runs it: for real."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relkit.adapters.attempts import delivered_by
from services.github_standin_state import (
    BASE,
    HOME,
    TIME,
    Asked,
    GitHubState,
    Place,
    Reply,
    RunState,
    Workflow,
    answered,
    paged,
    refused,
)
from services.github_standin_tracker import USER

PATH = ".github/workflows/build-release.yml"
HEAD_SHA = "5" * 40
"""The commit of the workflow's own repository."""
FIRST_RUN = 7001


def dispatched(place: Place, asked: Asked) -> Reply:
    """Start all builds of the workflow, each in a process of its own."""
    workflow, inputs = place.workflow, dict(asked.body.get("inputs", {}))
    if workflow is None or asked.names["workflow_id"] != Path(PATH).name:
        return refused(404, "Not Found")
    if not place.read().knobs.may_dispatch:
        return refused(403, "Resource not accessible by personal access token")
    if asked.body["ref"] not in {"main", "refs/heads/main"}:
        return refused(422, f"No ref found for: {asked.body['ref']}")
    if set(inputs) != {"git_remote", "git_commit", "cpython_release"}:
        return refused(422, "Unexpected inputs provided")
    made: list[RunState] = []

    def edit(state: GitHubState) -> GitHubState:
        now = datetime.now(UTC).replace(microsecond=0)
        wrong = _wrong(workflow, inputs)
        number = FIRST_RUN + len(state.runs)
        made.append(
            RunState(id=number, made=f"{now:%Y-%m-%dT%H:%M:%SZ}", inputs=inputs, wrong=wrong)
        )
        return state.model_copy(update={"runs": (*state.runs, made[0])})

    place.change(edit)
    if not made[0].wrong:
        for name in workflow.builds:
            workflow.builders.start(build=workflow.build(name, made[0]))
    if not asked.body.get("return_run_details"):
        return Reply(204)
    url = f"{HOME}runs/{made[0].id}"
    return answered(200, {"workflow_run_id": made[0].id, "run_url": url, "html_url": url})


def described(place: Place, asked: Asked) -> Reply:
    if asked.names["workflow_id"] != Path(PATH).name:
        return refused(404, "Not Found")
    times = dict.fromkeys(("created_at", "updated_at"), TIME)
    urls = dict.fromkeys(("url", "html_url", "badge_url"), HOME)
    names = {"id": 1, "node_id": "W1", "name": "Build release", "path": PATH}
    return answered(200, {**names, **times, **urls, "state": place.read().knobs.state})


def head(place: Place, asked: Asked) -> Reply:
    del place
    if asked.names["ref"] != "heads/main":
        return refused(404, "Not Found")
    one = {"type": "commit", "sha": HEAD_SHA, "url": HOME}
    return answered(200, {"ref": "refs/heads/main", "node_id": "R1", "url": HOME, "object": one})


def user(place: Place, _asked: Asked) -> Reply:
    knobs = place.read().knobs
    said = {"GitHub-Authentication-Token-Expiration": knobs.expires} if knobs.expires else {}
    counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    times = dict.fromkeys(("created_at", "updated_at"), TIME)
    names = dict.fromkeys(("name", "company", "blog", "location", "email", "bio"))
    more = {"hireable": None, "user_view_type": "public"}
    return answered(200, {**USER, "login": knobs.login, **counts, **times, **names, **more}, said)


def _wrong(workflow: Workflow, inputs: dict[str, str]) -> str:
    """Say what is wrong with the inputs: the tag must be on the commit, in the fork."""
    tag = f"refs/tags/v{inputs['cpython_release']}^{{commit}}"
    argv = ["git", "rev-parse", "--quiet", "--verify", "--end-of-options", tag]
    found = subprocess.run(argv, cwd=workflow.fork, capture_output=True, check=False, timeout=30)
    commit = found.stdout.decode().strip()
    return "" if commit == inputs["git_commit"] else f"the tag is on {commit or 'nothing'}"


def runs(place: Place, asked: Asked) -> Reply:
    state = place.read()
    listed = () if state.knobs.hides else tuple(reversed(state.runs))
    since = asked.query.get("created", ">=").removeprefix(">=")
    found = [_run(place, one) for one in listed if one.made >= since]
    page, headers = paged(asked, found)
    return answered(200, {"total_count": len(found), "workflow_runs": page}, headers)


def _numbered(act: Callable[[Place, Asked, RunState], Reply]) -> Callable[[Place, Asked], Reply]:
    def found(place: Place, asked: Asked) -> Reply:
        for one in place.read().runs:
            if str(one.id) == asked.names["run_id"]:
                return act(place, asked, one)
        return refused(404, "Not Found")

    return found


@_numbered
def run(place: Place, _asked: Asked, one: RunState) -> Reply:
    return answered(200, _run(place, one))


@_numbered
def cancelled(place: Place, _asked: Asked, one: RunState) -> Reply:
    status, _ = _status(place, one)
    if status == "completed":
        return refused(409, "Cannot cancel a workflow run that is completed.")
    workflow = _workflow(place)
    for name in workflow.builds:
        workflow.builders.cancel(name=name, nonce=f"run-{one.id}")
    gone = one.model_copy(update={"cancelled": True})

    def edit(state: GitHubState) -> GitHubState:
        after = tuple(gone if each.id == one.id else each for each in state.runs)
        return state.model_copy(update={"runs": after})

    place.change(edit)
    return answered(202, {})


def _workflow(place: Place) -> Workflow:
    if place.workflow is None:
        raise AssertionError("a run without a workflow")
    return place.workflow


def _status(place: Place, one: RunState) -> tuple[str, str | None]:
    """Return GitHub's status and conclusion of a run, by its builds."""
    workflow = _workflow(place)
    if one.cancelled:
        return "completed", "cancelled"
    if one.wrong:
        return "completed", "failure"
    states = {
        workflow.builders.state(name=name, nonce=f"run-{one.id}").status for name in workflow.builds
    }
    if states & {"failed", "lost"}:
        return "completed", "failure"
    return ("completed", "success") if states <= {"done"} else ("in_progress", None)


def _run(place: Place, one: RunState) -> dict[str, Any]:
    status, conclusion = _status(place, one)
    named = f" {one.inputs['cpython_release']} {one.inputs['git_commit']}"
    names = ("jobs", "logs", "check_suite", "cancel", "rerun", "artifacts", "workflow")
    repository = {**_repository(), "full_name": "python/release-tools"}
    return {
        **{f"{name}_url": HOME for name in names},
        "url": f"{HOME}runs/{one.id}",
        "html_url": f"{HOME}runs/{one.id}",
        "id": one.id,
        "node_id": f"W{one.id}",
        "head_branch": "main",
        "head_sha": HEAD_SHA,
        "run_number": one.id,
        "event": "workflow_dispatch",
        "path": PATH,
        "workflow_id": 1,
        "display_title": "Build release" + (named if place.read().knobs.named else ""),
        "status": status,
        "conclusion": conclusion,
        "actor": USER,
        "pull_requests": [],
        "created_at": one.made,
        "updated_at": one.made,
        "head_commit": None,
        "repository": repository,
        "head_repository": repository,
        "run_attempt": one.attempt,
    }


REPOSITORY_URLS = (
    *("archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits"),
    *("compare", "contents", "contributors", "deployments", "downloads", "events", "forks"),
    *("git_commits", "git_refs", "git_tags", "hooks", "html", "issue_comment", "issue_events"),
    *("issues", "keys", "labels", "languages", "merges", "milestones", "notifications", "pulls"),
    *("releases", "stargazers", "statuses", "subscribers", "subscription", "tags", "teams"),
    "trees",
)


def _repository() -> dict[str, Any]:
    return {
        **{f"{name}_url": HOME for name in REPOSITORY_URLS},
        "url": HOME,
        "id": 1,
        "node_id": "R1",
        "name": "release-tools",
        "owner": USER,
        "description": None,
        "fork": False,
        "private": False,
    }


# --- what runs leave ------------------------------------------------------------------------------


@_numbered
def artifacts(place: Place, asked: Asked, one: RunState) -> Reply:
    names = [name for group in _workflow(place).builds.values() for name in group]
    made = [(number, name, _zip(place, one, name)) for number, name in enumerate(names)]
    found = [_artifact(place, one, number, name, data) for number, name, data in made if data]
    page, headers = paged(asked, found)
    return answered(200, {"total_count": len(found), "artifacts": page}, headers)


def _artifact(place: Place, one: RunState, number: int, name: str, data: bytes) -> dict[str, Any]:
    knobs = place.read().knobs
    stated = {
        "sha256": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "wrong": f"sha256:{'0' * 64}",
        "md5": f"md5:{hashlib.md5(data, usedforsecurity=False).hexdigest()}",
    }
    return {
        "id": one.id * 100 + number,
        "node_id": f"A{number}",
        "name": name,
        "size_in_bytes": len(data),
        "url": HOME,
        "archive_download_url": HOME,
        "expired": knobs.expired,
        "created_at": TIME,
        "expires_at": TIME,
        "updated_at": TIME,
        "digest": stated.get(knobs.digest),
        "workflow_run": {"id": one.id, "head_branch": "main", "head_sha": HEAD_SHA},
    }


def _zip(place: Place, one: RunState, artifact: str) -> bytes:
    """Return an artifact: the files of its build, those that name it if it is one of several."""
    workflow = _workflow(place)
    build, group = next((key, one) for key, one in workflow.builds.items() if artifact in one)
    out = delivered_by(workflow.folder, nonce=f"run-{one.id}", name=build)
    if out is None:
        return b""
    files = [path for path in sorted(out.iterdir()) if len(group) == 1 or artifact in path.name]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
        for name, text in place.read().knobs.members.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


def download(place: Place, asked: Asked) -> Reply:
    number = int(asked.names["artifact_id"])
    names = [name for group in _workflow(place).builds.values() for name in group]
    for one in place.read().runs:
        if one.id == number // 100 and number % 100 < len(names):
            if place.read().knobs.expired:
                return refused(410, "Artifact has expired")
            data = _zip(place, one, names[number % 100])
            return Reply(302, headers={"Location": place.ticket(data, "application/zip")})
    return refused(404, "Not Found")


@_numbered
def jobs(place: Place, asked: Asked, one: RunState) -> Reply:
    status, conclusion = _status(place, one)
    found: list[dict[str, Any]] = [
        {
            "id": one.id * 100 + number,
            "run_id": one.id,
            "run_url": HOME,
            "node_id": "J1",
            "head_sha": HEAD_SHA,
            "head_branch": "main",
            "workflow_name": "Build release",
            "name": name,
            "url": HOME,
            "html_url": HOME,
            "check_run_url": HOME,
            "labels": [],
            "status": status,
            "conclusion": conclusion,
            "steps": [],
            "run_attempt": 1,
            "started_at": TIME,
            "completed_at": TIME,
            "created_at": TIME,
            "runner_id": None,
            "runner_name": None,
            "runner_group_id": None,
            "runner_group_name": None,
        }
        for number, name in enumerate(["verify-input", *_workflow(place).builds])
    ]
    page, headers = paged(asked, found)
    return answered(200, {"total_count": len(found), "jobs": page}, headers)


def log(place: Place, asked: Asked) -> Reply:
    """Lead to a job's log, in which the checkout action says what it has checked out."""
    number = int(asked.names["job_id"])
    for one in place.read().runs:
        if one.id == number // 100:
            swapped = place.read().knobs.checked_out
            lines = [one.wrong or "all is well"]
            for commit in filter(None, (one.inputs["git_commit"], swapped)):
                lines += ["[command]/usr/bin/git log -1 --format=%H", commit]
            text = "".join(f"2026-01-01T00:00:00.0000000Z {line}\n" for line in lines)
            return Reply(302, headers={"Location": place.ticket(text.encode(), "text/plain")})
    return refused(404, "Not Found")


def contents(place: Place, asked: Asked) -> Reply:
    """Show the workflow's file as it is at the one commit there is."""
    if asked.names["path"] != PATH or asked.query.get("ref") != HEAD_SHA:
        return refused(404, "Not Found")
    data = place.read().knobs.workflow.encode()
    value = {
        "type": "file",
        "encoding": "base64",
        "size": len(data),
        "name": Path(PATH).name,
        "path": PATH,
        "content": base64.encodebytes(data).decode(),
        "sha": "6" * 40,
        **dict.fromkeys(("url", "git_url", "html_url", "download_url"), HOME),
        "_links": dict.fromkeys(("git", "html", "self"), HOME),
    }
    return answered(200, value)


RUN = f"{BASE}/actions/runs/{{run_id}}"
ROUTES = (
    ("POST", f"{BASE}/actions/workflows/{{workflow_id}}/dispatches", dispatched),
    ("GET", f"{BASE}/actions/workflows/{{workflow_id}}", described),
    ("GET", f"{BASE}/git/ref/{{ref}}", head),
    ("GET", "/user", user),
    ("GET", f"{BASE}/actions/workflows/{{workflow_id}}/runs", runs),
    ("GET", RUN, run),
    ("POST", f"{RUN}/cancel", cancelled),
    ("GET", f"{RUN}/artifacts", artifacts),
    ("GET", f"{RUN}/jobs", jobs),
    ("GET", f"{BASE}/actions/artifacts/{{artifact_id}}/{{archive_format}}", download),
    ("GET", f"{BASE}/actions/jobs/{{job_id}}/logs", log),
    ("GET", f"{BASE}/contents/{{path}}", contents),
)
