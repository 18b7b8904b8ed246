"""The tag upstream: the object that was pushed, by whom it is signed, and that it is on its branch.

Everything goes into a folder that is removed again. git gets no home, so it reads no configuration
and no credentials of whoever runs this.
"""

from __future__ import annotations

import re
import tempfile
from datetime import timedelta
from pathlib import Path

from relkit.adapters.git_command import GitCommand
from relkit.adapters.git_tags import read_tag
from relkit.errors import VerificationError, WorldError
from relkit.values import Tag
from relkit.verify_record.verdict import Judged
from relkit.verify_release.case import Case, said, unread
from relkit.verify_release.report import Look

ADDRESS = re.compile(r"(?:https://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?)?/[A-Za-z0-9._~/+-]+")
"""An https address without a user, or the path of a repository."""
LINE = re.compile(r"([0-9a-f]{40})\t(refs/[!-~]+)")
BEFORE = timedelta(days=7)
"""How much older than the release the history is that is fetched to find its commit in."""
QUIET = {
    "GIT_CONFIG_COUNT": "4",
    "GIT_CONFIG_KEY_0": "http.followRedirects",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "credential.helper",
    "GIT_CONFIG_VALUE_1": "",
    "GIT_CONFIG_KEY_2": "http.lowSpeedLimit",  # bytes in a second: who drips is not waited for
    "GIT_CONFIG_VALUE_2": "1000",
    "GIT_CONFIG_KEY_3": "http.lowSpeedTime",
    "GIT_CONFIG_VALUE_3": "60",
    "GIT_ASKPASS": "true",
    "SSH_AUTH_SOCK": "",
}


def look_at_tag(case: Case) -> None:
    """Compare the tag upstream with the manifest; verify its signature; find it on its branch."""
    look, signed = case.look("tag"), case.look("tag signature")
    what = case.release.tag
    with tempfile.TemporaryDirectory(prefix="relkit-") as folder:
        home = Path(folder)
        command = GitCommand(home, home, ("https", "file")).with_environment(
            HOME=folder, XDG_RUNTIME_DIR=folder, **QUIET
        )
        try:
            command.run("init", "--quiet", "--bare", "--template=", ".")
            upstream = _Upstream(case, command, look)
            object_id = upstream.tag_object()
            if object_id is not None:
                _signature(case, upstream, object_id, signed)
                upstream.on_branch()
        except WorldError as error:
            unread(look, what, error)
        except VerificationError as error:
            look.found("changed", what, error.code, said(error))
        if not signed.good and not signed.changes:
            signed.found("unknown", what, "TAG_UNREAD", "there is no tag that could be looked at")


class _Upstream:
    """The repository of a release, as far as it is fetched."""

    def __init__(self, case: Case, git: GitCommand, look: Look) -> None:
        self.case, self.git, self.look = case, git, look
        self.branch = f"refs/heads/{case.release.branch}"
        self.ref = f"refs/tags/{case.release.tag}"
        self.tag: Tag | None = None
        self.has_branch = False

    def tag_object(self) -> str | None:
        """Return the object of the tag upstream, fetched; None: there is no tag."""
        listed = self._ask("ls-remote", self.case.upstream, self.ref, self.branch)
        refs: dict[str, str] = {ref: found for found, ref in LINE.findall(listed)}
        wanted = self.case.manifest
        found = refs.get(self.ref)
        self.has_branch = self.branch in refs
        if not self.has_branch:
            self.look.found("removed", self.branch, "UPSTREAM_DIVERGED", "there is no such branch")
        if found is None:
            self.look.found("removed", self.ref, "UPSTREAM_DIVERGED", "there is no such tag")
            return None
        if wanted and found != wanted.tag_object:
            text = f"it is the object {found}, and was {wanted.tag_object}"
            self.look.found("changed", self.ref, "UPSTREAM_DIVERGED", text)
        self._fetch("--depth=1", self.ref)
        return found

    def read(self, object_id: str, git: GitCommand) -> Tag:
        """Read the tag and verify its signature with the keys that git is given."""
        self.tag = read_tag(git, self.case.release.tag, object_id)
        wanted = self.case.manifest
        if wanted and self.tag.commit != wanted.commit:
            text = f"it is on the commit {self.tag.commit}, and was on {wanted.commit}"
            self.look.found("changed", self.ref, "UPSTREAM_DIVERGED", text)
        return self.tag

    def on_branch(self) -> None:
        """Ask whether the branch contains the commit; history since the release is enough."""
        tag, case = self.tag, self.case
        made = case.manifest.time if case.manifest else case.released
        if tag is None or made is None or not self.has_branch:
            return
        try:
            self._fetch(f"--shallow-since={made - BEFORE:%Y-%m-%d}", self.branch)
            there = self._contains(tag.commit)
        except WorldError:  # nothing is so new there
            there = False
        if not there:  # of a commit made earlier a cut history says nothing: all, but for the files
            self._fetch("--unshallow", self.branch)
            there = self._contains(tag.commit)
        if not there:
            text = f"{case.release.branch} upstream does not contain {tag.commit}"
            self.look.found("changed", self.branch, "UPSTREAM_DIVERGED", text)
        self.look.good = (
            f"{tag.name} is the object {tag.tag_object[:12]}… on {tag.commit[:12]}…, "
            f"which {case.release.branch} contains"
        )

    def _contains(self, commit: str) -> bool:
        return self.git.ask("merge-base", "--is-ancestor", commit, self.branch).status == 0

    def _fetch(self, how: str, ref: str) -> None:
        self._ask(
            *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=tree:0", how),
            *("--end-of-options", self.case.upstream, f"+{ref}:{ref}"),
        )

    def _ask(self, *arguments: str) -> str:
        self.case.visit.require_time()
        answer = self.git.ask(*arguments)
        if answer.status:
            raise WorldError(
                f"git {arguments[0]} from {self.case.upstream}: {answer.words or 'no words'}",
                code="UPSTREAM_UNREAD",
                remedy="Look whether the repository can be reached, then run this again.",
            )
        return answer.text


def _signature(case: Case, upstream: _Upstream, object_id: str, signed: Look) -> None:
    """Verify the signature of the tag, with the key that the caller trusts alone."""
    who = case.given.who("gpg")
    try:
        home = case.trust.gpg_home()
    except Judged as judged:
        upstream.read(object_id, upstream.git)
        signed.found("unknown", case.release.tag, judged.code, str(judged))
        return
    tag = upstream.read(object_id, upstream.git.with_environment(GNUPGHOME=str(home)))
    if who is None or not who[0]:
        why = "nobody has said whose key must have signed it: --policy or --key"
        signed.found("unknown", case.release.tag, "KEY_NOT_GIVEN", why)
    elif tag.signer != who[0]:
        by = f"by {tag.signer}" if tag.signer else "not good, or by a key that was not given"
        text = f"its signature is {by}; it must be by {who[0]}"
        signed.found("wrong", case.release.tag, "TAG_SIGNATURE", text)
    signed.good = f"by {tag.signer}"
