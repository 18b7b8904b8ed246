"""One contract for the port `Buildbots`: the local form and a real Buildbot master keep it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from hostile import STRINGS
from services import buildbot as real
from services.buildbot import CALL_SECONDS, Master, buildbot

from relkit.adapters.buildbot import BuildbotMaster
from relkit.adapters.rest import Rest
from relkit.adapters.value_files import StateFile, write_value
from relkit.adapters.web import Web
from relkit.errors import ReleaseError
from relkit.ports import Buildbots
from relkit.rehearsal.ports import LocalBuildbots
from relkit.rehearsal.state import BuildbotState
from relkit.values import Buildbot

A, B = "AMD64 Debian 3.15", "AArch64 Fedora 3.15"
MAIN = "AMD64 Debian 3.x"
GONE = "Gone 3.14"
BUILDERS = {
    **real.STABLE,
    GONE: ("3.14", "stable"),
    "PPC64LE Fedora PR": ("PullRequest", "stable"),
}
commits = (f"{n:040x}" for n in itertools.count(0xC0FFEE))
"""Each test has commits of its own: the master goes on from test to test."""


class Bench(Protocol):
    """A form of the port, and what happens behind it."""

    port: Buildbots

    def build(self, builder: str, commit: str, result: str) -> None:
        """Let a builder finish a build."""


@dataclass
class Local:
    file: Path
    port: Buildbots

    def build(self, builder: str, commit: str, result: str) -> None:
        row = Buildbot.model_validate(
            {"name": builder, "online": True, "commit": commit, "result": result}
        )

        def built(state: BuildbotState) -> BuildbotState:
            branch = "main" if builder == MAIN else "3.15"
            rows = (*state.branches.get(branch, ()), row)
            return BuildbotState(branches={**state.branches, branch: rows})

        StateFile(self.file, BuildbotState).change(built)


@dataclass
class Real:
    master: Master
    port: Buildbots

    def build(self, builder: str, commit: str, result: str) -> None:
        self.master.build(builder, commit, result=result)


def port_at(url: str) -> BuildbotMaster:
    rest = Rest("Buildbot", Web(url, timeout_seconds=(CALL_SECONDS, CALL_SECONDS)))
    return BuildbotMaster(rest, tags=("stable",), branches={"main": "3.x"})


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    folder = tmp_path_factory.mktemp("master")
    with buildbot(folder, builders=BUILDERS, workers={GONE: ["gone"], B: ["gone", "other"]}) as it:
        yield it


@pytest.fixture(params=["local", "real"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "real":
        master = request.getfixturevalue("master")
        return Real(master, port_at(master.url))
    file = tmp_path / "buildbots.json"
    none = {
        name: Buildbot(name=name, online=name != GONE, commit=None, result=None)
        for name in (A, B, MAIN, GONE)
    }
    rows = {"3.15": (none[A], none[B]), "main": (none[MAIN],), "3.14": (none[GONE],)}
    write_value(file, BuildbotState(branches=rows))
    return Local(file, LocalBuildbots(file=file))


def stable(bench: Bench, branch: str, commit: str) -> dict[str, Buildbot]:
    found = bench.port.stable(branch=branch, commit=commit)
    by_name = {one.name: one for one in found}
    assert len(by_name) == len(found)
    return by_name


def test_a_branch_has_its_own_stable_builders_and_no_others(bench: Bench) -> None:
    commit = next(commits)
    assert stable(bench, "3.15", commit).keys() == {A, B}
    assert stable(bench, "main", commit).keys() == {MAIN}


def test_a_branch_without_builders_has_none_and_not_those_of_main(bench: Bench) -> None:
    assert bench.port.stable(branch="3.99", commit=next(commits)) == ()


def test_a_builder_without_a_build_of_the_commit_has_no_result(bench: Bench) -> None:
    bench.build(A, next(commits), "success")
    found = stable(bench, "3.15", next(commits))[A]
    assert (found.commit, found.result) == (None, None)


@pytest.mark.parametrize(
    "result", ["success", "warnings", "failure", "exception", "cancelled", "retry"]
)
def test_a_result_is_told_as_what_it_is(bench: Bench, result: str) -> None:
    """D14: only one of these was red."""
    commit = next(commits)
    bench.build(A, commit, result)
    found = stable(bench, "3.15", commit)
    assert (found[A].commit, found[A].result) == (commit, result)
    assert found[B].result is None


def test_the_last_build_of_a_commit_counts_whichever_came_after_it(bench: Bench) -> None:
    mine, other = next(commits), next(commits)
    bench.build(A, mine, "success")
    bench.build(A, mine, "failure")
    bench.build(A, other, "success")
    assert stable(bench, "3.15", mine)[A].result == "failure"
    assert stable(bench, "3.15", other)[A].result == "success"


def test_a_builder_whose_workers_are_gone_is_offline(bench: Bench) -> None:
    assert not stable(bench, "3.14", next(commits))[GONE].online
    found = stable(bench, "3.15", next(commits))
    assert found[A].online
    assert found[B].online


def test_of_hostile_words_none_is_a_branch_with_builders(bench: Bench) -> None:
    for words in STRINGS:
        with suppress(ReleaseError):  # each has a code; those that are no names of branches
            assert bench.port.stable(branch=words, commit=next(commits)) == ()
