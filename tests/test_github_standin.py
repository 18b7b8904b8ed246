"""The stand-in of GitHub, and Prism before it, which lets nothing pass that GitHub has not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from services.github_scene import COMMIT, REPOSITORY, Scene, scene

from relkit.adapters.github import API_VERSION, github
from relkit.adapters.web import Web
from relkit.errors import WorldError
from relkit.values import CommitCheck


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("github")) as one:
        yield one


@pytest.fixture
def place(started: Scene) -> Scene:
    started.begin()
    return started


def test_a_call_that_github_does_not_describe_is_refused(place: Scene) -> None:
    with pytest.raises(WorldError, match=r"SERVICE_CONFLICT.*422"):
        place.rest.write("POST", f"repos/{REPOSITORY}/labels", {"color": "ededed"})
    with pytest.raises(WorldError, match="NO_PATH_MATCHED"):
        place.rest.get(f"repos/{REPOSITORY}/zen")


def test_an_answer_that_github_would_not_give_is_refused(place: Scene) -> None:
    place.begin(default_checks=(CommitCheck(name="Tests", conclusion="splendid"),))
    with pytest.raises(WorldError, match="SERVICE_FAILED"):
        place.tracker.commit_checks(commit=COMMIT)


def test_who_is_not_known_or_speaks_another_version_is_refused(place: Scene) -> None:
    refused: list[str] = []
    web = Web(place.proxy.url)
    rest = github(web, lambda: "another-token", denied=lambda: refused.append("forget it"))
    with pytest.raises(WorldError, match="SERVICE_DENIED") as caught:
        rest.get(f"repos/{REPOSITORY}/labels/docs")
    assert refused
    assert "another-token" not in str(caught.value)
    headers = {"Authorization": "Bearer rehearsal-token", "X-GitHub-Api-Version": "2020-01-01"}
    url = f"{place.proxy.url}/repos/{REPOSITORY}/labels/docs"
    assert requests.get(url, headers=headers, timeout=10).status_code == 400
    good = headers | {"X-GitHub-Api-Version": API_VERSION}
    assert requests.get(url, headers=good, timeout=10).status_code == 200


def test_other_repositories_have_issues_that_carry_messages(place: Scene) -> None:
    path = "repos/python/release-coordination/issues"
    fields = {"title": "3.15.0a1: builds", "body": "Please build.", "labels": ["3.15.0a1"]}
    made = place.rest.write("POST", path, fields).value
    place.rest.write("POST", f"{path}/{made['number']}/comments", {"body": "Done."})
    assert place.rest.get(f"{path}/{made['number']}").value["comments"] == 1
    (listed,) = place.rest.get(path, {"labels": "3.15.0a1", "state": "open"}).value
    assert (listed["title"], listed["body"]) == (fields["title"], fields["body"])
    assert place.rest.get("repos/python/elsewhere/issues").value == []
    with pytest.raises(WorldError, match="SERVICE_DENIED"):
        place.rest.write("POST", f"repos/{REPOSITORY}/issues", fields)
