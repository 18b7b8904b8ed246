"""The port `Tracker` on GitHub: issues, labels, check runs, and the protection of branches."""

from __future__ import annotations

from relkit.adapters.github import (
    BRANCH,
    FULL_ID,
    LABEL,
    REPOSITORY,
    Listed,
    Told,
    checked,
    pages,
    told,
)
from relkit.adapters.github_protection import Branches
from relkit.adapters.rest import Rest, segment
from relkit.errors import WorldError
from relkit.values import CommitCheck, Issue, Issues, Protection

COLOUR = "ededed"


class _Label(Told):
    name: str


class _Pull(Told):
    pass


class _Issue(Told):
    number: int
    title: str
    state: str
    labels: tuple[_Label, ...]
    pull_request: _Pull | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(label.name for label in self.labels))


class _CheckRun(Told):
    id: int
    name: str
    status: str
    conclusion: str | None
    head_sha: str


class GitHubTracker:
    """`relkit.ports.Tracker` on the repository `OWNER/NAME`.

    Its branches are frozen and lifted as `relkit.adapters.github_protection` says, for the run with
    this `mark`. An open pull request with a label counts as an issue with it: whoever labelled it
    meant that it blocks.
    """

    def __init__(self, rest: Rest, *, repository: str, mark: str = "") -> None:
        self._rest = rest
        self._base = f"repos/{checked(repository, REPOSITORY, 'repository')}"
        self._repository = repository
        self._branches = Branches(rest, self._base, mark)

    def of_run(self, mark: str) -> GitHubTracker:
        """Return the tracker for the run with this mark."""
        return GitHubTracker(self._rest, repository=self._repository, mark=mark)

    def blockers(self, *, series: str, label: str) -> Issues:
        """Return the open issues and pull requests that have both labels."""
        return self._open(series, label)

    def protection(self, *, branch: str) -> Protection:
        """Return the protection of a branch; rules in the words of the API, in order."""
        return self._branches.read(checked(branch, BRANCH, "branch"))

    def set_protection(self, *, branch: str, protection: Protection) -> None:
        """Freeze a branch, open it, or include administrators or not; all else must be as it is."""
        self._branches.set(checked(branch, BRANCH, "branch"), protection)

    def labels(self, *, number: int) -> tuple[str, ...]:
        """Return the labels of an open issue, sorted. Raises ``ISSUE_UNKNOWN``."""
        return self._issue(number).names

    def relabel(self, *, number: int, remove: str, add: str) -> None:
        """Replace one label of an issue by another; refuse an issue that has neither.

        Either may be empty. The new one comes first: an issue has both for a while, never none.
        """
        for name in filter(None, (remove, add)):
            checked(name, LABEL, "label")
        found = self._issue(number).names
        if remove and add and not {remove, add} & set(found):
            raise WorldError(
                f"#{number} has neither the label {remove!r} nor {add!r}: {', '.join(found)}",
                code="LABEL_MISSING",
                remedy="Somebody relabelled it; decide with them what it should be.",
            )
        path = f"{self._base}/issues/{number}/labels"
        if add and add not in found:
            self._rest.write("POST", path, {"labels": [add]})
        if remove in found:
            self._gone(f"{path}/{segment(remove)}")

    def labelled(self, *, label: str) -> Issues:
        """Return all open issues and pull requests with a label."""
        return self._open(label)

    def has_label(self, *, name: str) -> bool:
        """Tell whether the repository has a label."""
        path = f"{self._base}/labels/{segment(checked(name, LABEL, 'label'))}"
        answer = self._rest.find(path)
        if answer is None:
            return False
        found = told(self._rest, _Label, answer.value, answer.said)
        return found.name.casefold() == name.casefold()

    def create_label(self, *, name: str) -> None:
        """Make a label; one that is there stays."""
        if self.has_label(name=name):
            return
        try:
            self._rest.write("POST", f"{self._base}/labels", {"name": name, "color": COLOUR})
        except WorldError as error:  # somebody else may have made it in this moment
            if error.code != "SERVICE_CONFLICT" or not self.has_label(name=name):
                raise

    def delete_label(self, *, name: str) -> None:
        """Delete a label, which takes it off all issues; none is fine."""
        self._gone(f"{self._base}/labels/{segment(checked(name, LABEL, 'label'))}")

    def commit_checks(self, *, commit: str) -> tuple[CommitCheck, ...]:
        """Return the newest check runs of a commit; one that goes on has its status in the place.

        Raises `WorldError` (``CHECKS_INCOMPLETE``), also if one is of another commit.
        """
        path = f"{self._base}/commits/{checked(commit, FULL_ID, 'full commit id')}/check-runs"
        runs = pages(self._rest, path, _CheckRun, {"filter": "latest"}, within="check_runs")
        strange = sorted({run.head_sha for run in runs.items} - {commit})
        if strange or not runs.complete:
            what = f"some are of {strange[0]:.40}" if strange else f"{len(runs.items)} were read"
            raise WorldError(
                f"the check runs of {commit} cannot all be seen: {what}",
                code="CHECKS_INCOMPLETE",
                remedy="Run the step again; if it stays so, look at the commit's page.",
            )
        return tuple(
            CommitCheck(name=run.name, conclusion=run.conclusion or run.status)
            for run in runs.items
        )

    def _open(self, *labels: str) -> Issues:
        names = {checked(name, LABEL, "label") for name in labels}
        query = {"labels": ",".join(labels), "state": "open"}
        listed: Listed[_Issue] = pages(self._rest, f"{self._base}/issues", _Issue, query)
        fits = all(one.state == "open" and names <= set(one.names) for one in listed.items)
        once = len({one.number for one in listed.items}) == len(listed.items)
        items = tuple(
            Issue(
                number=one.number,
                title=one.title + (" (pull request)" if one.pull_request else ""),
                labels=one.names,
            )
            for one in sorted(listed.items, key=lambda one: one.number)
        )
        return Issues(items=items, complete=listed.complete and fits and once)

    def _issue(self, number: int) -> _Issue:
        answer = self._rest.find(f"{self._base}/issues/{number:d}")
        found = told(self._rest, _Issue, answer.value, answer.said) if answer else None
        if found is None or found.state != "open" or found.number != number:
            raise WorldError(
                f"the tracker has no open issue #{number}",
                code="ISSUE_UNKNOWN",
                remedy="Look for it in the tracker; it may have been closed meanwhile.",
            )
        return found

    def _gone(self, path: str) -> None:
        """Delete what may be gone already."""
        try:
            self._rest.write("DELETE", path)
        except WorldError as error:
            if error.code != "SERVICE_MISSING":
                raise
