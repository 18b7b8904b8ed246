"""Issues, labels and check runs, as the stand-in of GitHub has them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from relkit.errors import WorldError
from relkit.values import Issue
from services.github_standin_state import (
    BASE,
    HOME,
    TIME,
    Asked,
    GitHubState,
    Message,
    Place,
    Reply,
    answered,
    paged,
    refused,
)

USER_URLS = (
    *("avatar_url", "events_url", "followers_url", "following_url", "gists_url", "html_url"),
    *("organizations_url", "received_events_url", "repos_url", "starred_url"),
    *("subscriptions_url", "url"),
)
USER = {
    **dict.fromkeys(USER_URLS, HOME),
    "login": "release-manager",
    "id": 1,
    "node_id": "U1",
    "gravatar_id": "",
    "type": "User",
    "site_admin": False,
}


def listed(place: Place, asked: Asked) -> Reply:
    labels = {one for one in asked.query.get("labels", "").split(",") if one}
    if asked.repository == place.repository:
        state = place.tracked
        found = [issue(one) for one in state.issues if labels <= set(one.labels)]
        return answered(200, *paged(asked, found, short=not state.complete))
    mine = [one for one in place.read().messages if one.repository == asked.repository]
    found = [_message(one) for one in mine if labels <= set(one.labels)]
    return answered(200, *paged(asked, found))


def opened(place: Place, asked: Asked) -> Reply:
    """Open an issue of a repository that is not upstream."""
    if asked.repository == place.repository:
        return refused(403, "nobody opens issues there in a rehearsal")
    made: list[Message] = []

    def edit(state: GitHubState) -> GitHubState:
        one = Message(
            repository=asked.repository,
            number=len(state.messages) + 1,
            title=str(asked.body["title"]),
            body=str(asked.body.get("body") or ""),
            labels=tuple(asked.body.get("labels", ())),
        )
        made.append(one)
        return state.model_copy(update={"messages": (*state.messages, one)})

    place.change(edit)
    return answered(201, _message(made[0]))


def commented(place: Place, asked: Asked) -> Reply:
    number = int(asked.names["issue_number"])

    def edit(state: GitHubState) -> GitHubState:
        more = tuple(
            one.model_copy(update={"comments": (*one.comments, str(asked.body["body"]))})
            if one.number == number
            else one
            for one in state.messages
        )
        return state.model_copy(update={"messages": more})

    place.change(edit)
    comment = {
        "id": 1,
        "node_id": "C1",
        "url": HOME,
        "html_url": HOME,
        "issue_url": HOME,
        "body": asked.body["body"],
        "user": USER,
        "created_at": TIME,
        "updated_at": TIME,
        "author_association": "MEMBER",
    }
    return answered(201, comment)


def shown(place: Place, asked: Asked) -> Reply:
    number = int(asked.names["issue_number"])
    if asked.repository == place.repository:
        found = [issue(one) for one in place.tracked.issues if one.number == number]
    else:
        found = [_message(one) for one in place.read().messages if one.number == number]
    return answered(200, found[0]) if found else refused(404, "Not Found")


def issue(one: Issue) -> dict[str, Any]:
    return _issue(one.number, one.title, "", one.labels, 0)


def _message(one: Message) -> dict[str, Any]:
    return _issue(one.number, one.title, one.body, one.labels, len(one.comments))


def _issue(
    number: int, title: str, body: str, labels: tuple[str, ...], comments: int
) -> dict[str, Any]:
    urls = ("comments_url", "events_url", "html_url", "repository_url", "url")
    return {
        **dict.fromkeys(urls, f"{HOME}issues/{number}"),
        "labels_url": f"{HOME}labels",
        "id": number,
        "node_id": f"I{number}",
        "number": number,
        "title": title,
        "body": body,
        "state": "open",
        "locked": False,
        "labels": [_label(name) for name in labels],
        "user": USER,
        "comments": comments,
        "assignee": None,
        "milestone": None,
        "closed_at": None,
        "created_at": TIME,
        "updated_at": TIME,
        "author_association": "MEMBER",
    }


def _label(name: str) -> dict[str, Any]:
    return {
        "id": 1,
        "node_id": "L1",
        "url": HOME,
        "name": name,
        "description": None,
        "color": "ededed",
        "default": False,
    }


def labels_of(place: Place, asked: Asked) -> Reply:
    number = int(asked.names["issue_number"])
    for one in place.tracked.issues:
        if one.number == number:
            return answered(200, *paged(asked, [_label(name) for name in one.labels]))
    return refused(404, "Not Found")


def labelled(place: Place, asked: Asked) -> Reply:
    for name in asked.body["labels"]:
        if (reply := _relabelled(place, asked, add=name)) is not None:
            return reply
    return labels_of(place, asked)


def unlabelled(place: Place, asked: Asked) -> Reply:
    number, name = int(asked.names["issue_number"]), asked.names["name"]
    with suppress(WorldError):
        if name not in place.tracker.labels(number=number):
            return refused(404, "Label does not exist")
    return _relabelled(place, asked, remove=name) or labels_of(place, asked)


def _relabelled(place: Place, asked: Asked, *, add: str = "", remove: str = "") -> Reply | None:
    try:
        place.tracker.relabel(number=int(asked.names["issue_number"]), remove=remove, add=add)
    except WorldError as error:
        return refused(404, str(error))
    return None


def label(place: Place, asked: Asked) -> Reply:
    name = asked.names["name"]
    there = place.tracker.has_label(name=name)
    return answered(200, _label(name)) if there else refused(404, "Not Found")


def label_made(place: Place, asked: Asked) -> Reply:
    name = asked.body["name"]
    if place.tracker.has_label(name=name):
        return refused(422, "Validation Failed: already_exists")
    place.tracker.create_label(name=name)
    return answered(201, _label(name))


def label_gone(place: Place, asked: Asked) -> Reply:
    name = asked.names["name"]
    if not place.tracker.has_label(name=name):
        return refused(404, "Not Found")
    place.tracker.delete_label(name=name)
    return Reply(204)


def check_runs(place: Place, asked: Asked) -> Reply:
    commit = asked.names["ref"]
    runs: list[dict[str, Any]] = [
        {
            "id": number,
            "node_id": f"K{number}",
            "head_sha": commit,
            "name": one.name,
            "external_id": "",
            "url": HOME,
            "html_url": HOME,
            "details_url": HOME,
            "status": "completed",
            "conclusion": one.conclusion,
            "started_at": TIME,
            "completed_at": TIME,
            "check_suite": {"id": 1},
            "app": None,
            "output": {
                "title": None,
                "summary": None,
                "text": None,
                "annotations_count": 0,
                "annotations_url": HOME,
            },
            "pull_requests": [],
        }
        for number, one in enumerate(place.tracker.commit_checks(commit=commit), 1)
    ]
    page, headers = paged(asked, runs)
    return answered(200, {"total_count": len(runs), "check_runs": page}, headers)


ROUTES = (
    ("GET", f"{BASE}/issues", listed),
    ("POST", f"{BASE}/issues", opened),
    ("GET", f"{BASE}/issues/{{issue_number}}", shown),
    ("POST", f"{BASE}/issues/{{issue_number}}/comments", commented),
    ("GET", f"{BASE}/issues/{{issue_number}}/labels", labels_of),
    ("POST", f"{BASE}/issues/{{issue_number}}/labels", labelled),
    ("DELETE", f"{BASE}/issues/{{issue_number}}/labels/{{name}}", unlabelled),
    ("GET", f"{BASE}/labels/{{name}}", label),
    ("POST", f"{BASE}/labels", label_made),
    ("DELETE", f"{BASE}/labels/{{name}}", label_gone),
    ("GET", f"{BASE}/commits/{{ref}}/check-runs", check_runs),
)
