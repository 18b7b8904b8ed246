"""The stable builders of a Buildbot master: what each made of one commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from relkit.adapters.buildbot_forced import ForcedBuild
from relkit.adapters.buildbot_rows import (
    BuilderRow,
    BuildRow,
    Result,
    WorkerRow,
    fresh,
    result_of,
    rows,
)
from relkit.adapters.git_names import check_id, check_name
from relkit.adapters.rest import Rest
from relkit.values import Buildbot

__all__ = ["BuildbotMaster", "ForcedBuild"]
PAGE = 200
"""Builds in one answer."""
DEPTH = 20
"""How many builds for each builder are looked at, the newest ones of all of them together."""


class BuildbotMaster:
    """The form of the port `Buildbots` on a master whose address is the one of its web pages.

    Builders of a branch carry all of `tags`, and the tag of the branch: its name, unless `branches`
    says otherwise. Where no builder does, there is none: another branch's prove nothing.
    """

    def __init__(self, rest: Rest, *, tags: Collection[str], branches: Mapping[str, str]) -> None:
        self._rest = rest
        self._tags = frozenset(tags)
        self._branches = dict(branches)

    def stable(self, *, branch: str, commit: str) -> tuple[Buildbot, ...]:
        """Return each stable builder of a branch with its last finished build of `commit`.

        It is online if a worker that may build for it is connected and takes builds.
        """
        check_id(commit)
        builders = self._builders(self._branches.get(check_name(branch), branch))
        if not builders:
            return ()
        online = self._online()
        last = self._last({one.builderid for one in builders}, commit)
        return tuple(
            Buildbot(
                name=one.name,
                online=one.builderid in online,
                commit=commit if one.builderid in last else None,
                result=self._result(one, last.get(one.builderid)),
            )
            for one in sorted(builders, key=lambda one: one.name)
        )

    def _result(self, builder: BuilderRow, build: BuildRow | None) -> Result | None:
        if build is None:
            return None
        return result_of(self._rest, f"build {build.number} of {builder.name}", build.results)

    def _builders(self, tag: str) -> tuple[BuilderRow, ...]:
        # Several tags in one question would mean any of them.
        query = [("tags__contains", tag), fresh("builderid")]
        wanted = self._tags | {tag}
        found = rows(self._rest, "builders", BuilderRow, query)
        return tuple(one for one in found if wanted <= {*one.tags} and one.masterids)

    def _online(self) -> set[int]:
        """Return the builders that a worker takes builds for."""
        return {
            builder.builderid
            for one in rows(self._rest, "workers", WorkerRow, [fresh("workerid")])
            if one.connected_to and not one.paused and not one.graceful
            for builder in one.configured_on
        }

    def _last(self, builders: set[int], commit: str) -> dict[int, BuildRow]:
        """Return the last finished build of a commit by the ids of the builders that have one."""
        found: dict[int, BuildRow] = {}
        for offset in range(0, DEPTH * len(builders), PAGE):
            page = self._page(builders, offset)
            for one in page:
                if one.commit == commit:
                    found.setdefault(one.builderid, one)
            if len(page) < PAGE or len(found) == len(builders):
                break
        return found

    def _page(self, builders: set[int], offset: int) -> tuple[BuildRow, ...]:
        """Return finished builds of builders, the newest first."""
        query = [
            ("complete__eq", "true"),
            *(("builderid__eq", str(one)) for one in sorted(builders)),
            *(("order", key) for key in ("-complete_at", "-buildid")),
            *(("property", name) for name in ("got_revision", "revision")),
            ("limit", str(PAGE)),
            ("offset", str(offset)),
            fresh("buildid"),
        ]
        page = rows(self._rest, "builds", BuildRow, query)
        ends = [(one.complete_at or 0, one.buildid) for one in page]
        asked = all(one.complete and one.builderid in builders for one in page)
        if not asked or ends != sorted(ends, reverse=True):
            raise self._rest.unreadable("the builds it gives are not those asked for, in order")
        return page
