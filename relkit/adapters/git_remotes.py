"""Upstream and the fork: read by `ls-remote`, changed by pushes that name every ref (T08, T09)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relkit.adapters.git_clone import contains
from relkit.adapters.git_command import Answer, GitCommand
from relkit.adapters.git_names import check_id, check_ref, check_url, nameless
from relkit.adapters.openssh import key_refusal
from relkit.errors import CheckError, UsageError, WorldError
from relkit.values import ObjectId, RefUpdate

OWN_REFS = "refs/relkit/remote"
"""Where fetched refs are kept in the clone: ``<remote>/heads/main``, ``<remote>/tags/v3.9.0``."""
NEVER_DELETED = frozenset({"refs/heads/main"})
NONE = "nothing"


@dataclass(frozen=True)
class Remotes:
    """The remotes by name, with the only addresses that are allowed for them.

    `folder` is a folder that is no repository; the remotes are read from there, so that no
    repository's settings take part. `environment` is what git needs for `protocols`.
    """

    folder: Path
    urls: Mapping[str, str]
    protocols: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for url in self.urls.values():
            check_url(url, protocols=self.protocols)

    def refs(self, remote: str, refs: tuple[str, ...]) -> dict[str, ObjectId | None]:
        """Return what full refs name on a remote. Raises `WorldError` (``REMOTE_UNREACHABLE``)."""
        checked = [check_ref(ref) for ref in refs]
        self.folder.mkdir(parents=True, exist_ok=True)
        outside = GitCommand(self.folder, protocols=self.protocols, environment=self.environment)
        answer = outside.ask("ls-remote", "--end-of-options", self.urls[remote], *checked)
        if answer.status != 0:
            raise self._unreachable(remote, answer)
        # A name also matches longer refs that end in it: compare it whole.
        found = answer.refs()
        return {ref: found.get(ref) for ref in checked}

    def push(self, git: GitCommand, remote: str, updates: tuple[RefUpdate, ...]) -> None:
        """Move exactly these refs from `git`'s repository, all or none.

        Refs that are already where they should be are left alone. A branch of upstream only
        moves forward; it is deleted only where a tag stays on its last commit, and `main` never.
        Raises `WorldError` (``PUSH_REFUSED`` with the server's words, ``REMOTE_MOVED``; of a
        server that does a part of what it promised to do whole or not, ``PUSH_HALF``) and
        `CheckError` (``NOT_FAST_FORWARD``, ``BRANCH_NOT_KEPT``).
        """
        wanted = {check_ref(one.ref): one for one in updates}
        if len(wanted) != len(updates) or not updates:
            raise UsageError(
                f"a push of {len(updates)} updates of {len(wanted)} refs",
                code="BAD_REF",
                remedy="Name each ref exactly once.",
            )
        before = self.refs(remote, tuple(wanted))
        if all(before[ref] == one.new for ref, one in wanted.items()):
            return
        if remote == "upstream":
            _check_forward(git, updates)
            self._check_kept(git, updates)
        answer = git.ask(
            *("push", "--quiet", "--porcelain", "--atomic", "--no-verify", "--no-follow-tags"),
            *(f"--force-with-lease={one.ref}:{one.old or ''}" for one in updates),
            *("--end-of-options", self._effective(git, remote)),
            *(f"{one.new or ''}:{one.ref}" for one in updates),
        )
        if answer.status != 0:
            self._check_done(remote, wanted, before, answer)

    def fetch(self, git: GitCommand, remote: str, ref: str) -> ObjectId | None:
        """Fetch one ref of a remote, under a ref of our own; return the object it names.

        None if the remote has no such ref. Raises `WorldError` (``REMOTE_MOVED``).
        """
        found = self.refs(remote, (ref,))[ref]
        if found is None:
            return None
        own = f"{OWN_REFS}/{remote}/{ref.removeprefix('refs/')}"
        answer = git.ask(
            *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head"),
            *("--end-of-options", self._effective(git, remote), f"+{ref}:{own}"),
        )
        if answer.status != 0:
            raise self._unreachable(remote, answer)
        if (now := git.line("rev-parse", "--verify", own)) != found:
            raise WorldError(
                f"{ref} on {remote} was {found} and is now {now}",
                code="REMOTE_MOVED",
                remedy="It moved while it was read; see who moves it, then look again.",
            )
        return found

    def _check_kept(self, git: GitCommand, updates: tuple[RefUpdate, ...]) -> None:
        """Refuse to delete a branch of upstream unless a tag keeps its last commit."""
        gone = [one for one in updates if one.ref.startswith("refs/heads/") and not one.new]
        if not gone:
            return
        pushed = [one.new for one in updates if one.new and one.ref.startswith("refs/tags/")]
        kept = {git.line("rev-parse", "--verify", f"{tag}^{{commit}}") for tag in pushed}
        listed = git.ask("ls-remote", "--tags", "--end-of-options", self.urls["upstream"])
        if listed.status != 0:
            raise self._unreachable("upstream", listed)
        kept |= set(listed.refs().values())
        for one in gone:
            if one.old is not None and one.old not in kept:
                raise CheckError(
                    f"{one.ref} of upstream would be deleted, and no tag is on {one.old}",
                    code="BRANCH_NOT_KEPT",
                    remedy="Tag its last commit, and push the tag before or together with this.",
                )

    def _effective(self, git: GitCommand, remote: str) -> str:
        """Return a remote's address, if git in this repository takes it as it is written."""
        url = self.urls[remote]
        effective = git.line("ls-remote", "--get-url", "--end-of-options", url)
        if effective != url:
            raise CheckError(
                f"git would go to {nameless(effective)!r} instead of {url!r}",
                code="REMOTE_NOT_ALLOWED",
                remedy="Find the setting that redirects it and remove it.",
            )
        return url

    def _check_done(
        self,
        remote: str,
        wanted: Mapping[str, RefUpdate],
        before: Mapping[str, ObjectId | None],
        answer: Answer,
    ) -> None:
        """Raise the reason of a push that failed, unless all of it is in effect nevertheless.

        It can be: a push of a killed run goes on without it.
        """
        now = self.refs(remote, tuple(wanted))
        if all(now[ref] == one.new for ref, one in wanted.items()):
            return
        if half := [ref for ref, one in wanted.items() if now[ref] == one.new != before[ref]]:
            raise WorldError(
                f"{remote} took {', '.join(half)} and refused the rest of the push: {answer.told}",
                code="PUSH_HALF",
                remedy="It had promised all or nothing: tell whoever runs it. Then go on: what is "
                "missing is pushed.",
            )
        moved = [
            f"{ref} on {remote} is {now[ref] or NONE}, expected was {one.old or NONE}"
            for ref, one in wanted.items()
            if now[ref] not in {one.old, one.new}
        ]
        if moved:
            raise WorldError(
                "; ".join(moved),
                code="REMOTE_MOVED",
                remedy="See who moved it; nothing was pushed. Begin with a new look at it.",
            )
        raise WorldError(
            f"{remote} refused the push: {answer.told}",
            code="PUSH_REFUSED",
            remedy="Nothing was pushed. Have the cause removed (protection, rights), then go on.",
        )

    def _unreachable(self, remote: str, answer: Answer) -> WorldError:
        refused = key_refusal(self.urls[remote], answer.words, self.environment)
        return refused or WorldError(
            f"{remote} cannot be read: {answer.words}; what is there is not known",
            code="REMOTE_UNREACHABLE",
            remedy="See whether it is there and you may read it, then run this again.",
        )


def _check_forward(git: GitCommand, updates: tuple[RefUpdate, ...]) -> None:
    for one in updates:
        if not one.ref.startswith("refs/heads/") or one.old is None:
            continue
        if one.new is None and one.ref not in NEVER_DELETED:
            continue  # deletions are looked at by themselves
        if one.new is None or not contains(git, check_id(one.new), one.old):
            raise CheckError(
                f"{one.ref} of upstream at {one.old} would move to {one.new or NONE}, "
                "which does not contain it",
                code="NOT_FAST_FORWARD",
                remedy="Look at both histories; a branch of upstream is never rewritten.",
            )
