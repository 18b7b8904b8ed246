"""Git against settings of the machine, servers with intentions of their own, and the quicker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from git_helpers import commit_file, git, refused
from services.sshd import sshd
from words_helpers import Reach, announcements, by_ssh, commits, meeting, put

from relkit.adapters.editors import Tools
from relkit.adapters.git import GitRepository, Identity, SigningKey, make_bare
from relkit.adapters.git_command import GitCommand
from relkit.adapters.git_edit import read_commit
from relkit.values import RefUpdate, Remote

MAIN, RELEASE = "refs/heads/main", "refs/heads/release"
ODD = "x\u2028y"
"""A name that git takes, in which some readers see two lines."""


@dataclass
class Scene:
    """Upstream, a release clone with a commit to push, and a repository of somebody else."""

    folder: Path
    upstream: Path
    evil: Path
    repo: GitRepository
    base: str
    new: str

    @property
    def updates(self) -> tuple[RefUpdate, ...]:
        return (
            RefUpdate(ref=MAIN, old=self.base, new=self.new),
            RefUpdate(ref=RELEASE, old=None, new=self.new),
        )

    def push(self) -> None:
        self.repo.push(remote="upstream", updates=self.updates)

    def refs(self) -> dict[str, str | None]:
        return self.repo.remote_refs(remote="upstream", refs=(MAIN, RELEASE))


def repository(clone: Path, remotes: dict[Remote, str], **more: object) -> GitRepository:
    return GitRepository(
        clone,
        remotes,
        Identity("Release Manager", "rm@example.org"),
        SigningKey(clone.parent, "0" * 40),
        Tools(sys.executable, ("false",), clone.parent / "docs", clone.parent / "logs"),
        **more,  # type: ignore[arg-type]  # whatever it takes
    )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    upstream, work = tmp_path / "upstream.git", tmp_path / "work"
    for path in (upstream, tmp_path / "fork.git", tmp_path / "evil.git"):
        git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(path))
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(work))
    base = commit_file(work, "README.rst", "first\n")
    git(work, "push", "--quiet", str(upstream), "main")
    remotes: dict[Remote, str] = {"upstream": str(upstream), "fork": str(tmp_path / "fork.git")}
    repo = repository(tmp_path / "clone" / "3.15.0a1", remotes)
    repo.make_clone(branch="main", commit=base)
    new = commit_file(repo.clone, "more", "second\n")
    return Scene(tmp_path, upstream, tmp_path / "evil.git", repo, base, new)


# --- the machine -------------------------------------------------------------------------------


def settings(evil: Path, upstream: Path, canary: str) -> dict[str, str]:
    return {
        f"url.{evil}.insteadOf": str(upstream),
        f"url.{evil}.pushInsteadOf": str(upstream),
        "core.sshCommand": canary,
        "core.gitProxy": canary,
        "core.hooksPath": "hooks",
        "core.fsmonitor": canary,
        "credential.helper": f"!{canary}",
        "push.gpgSign": "true",
        "push.followTags": "true",
        "protocol.file.allow": "never",
        "protocol.allow": "never",
        "uploadpack.packObjectsHook": canary,
        "http.proxy": "http://127.0.0.1:9",
        "clone.defaultRemoteName": "other",
        "clone.filterSubmodules": "true",
        "fetch.fsckObjects": "true",
        "extensions.partialClone": "other",
        "filter.lfs.smudge": canary,
        "filter.lfs.required": "true",
        "submodule.recurse": "true",
    }


def variables(folder: Path, canary: str) -> dict[str, str]:
    traces = ("", "2", "2_EVENT", "2_PERF", "_CURL", "_PACKET", "_PACKFILE", "_REFS", "_SETUP")
    programs = (
        *("ASKPASS", "SSH", "SSH_COMMAND", "PROXY_COMMAND", "EDITOR", "SEQUENCE_EDITOR", "PAGER"),
        "EXTERNAL_DIFF",
    )
    return {
        **{f"GIT_TRACE{one}": str(folder / f"trace{one}") for one in traces},
        **{f"GIT_{one}": canary for one in programs},
        "SSH_ASKPASS": canary,
        "GIT_NAMESPACE": "other",
        "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(folder / "objects"),
        "GIT_COMMON_DIR": str(folder / "evil.git"),
        "GIT_SHALLOW_FILE": str(folder / "shallow"),
        "GIT_QUARANTINE_PATH": str(folder),
        "GIT_EXEC_PATH": str(folder),
        "GIT_TEMPLATE_DIR": str(folder),
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_REPLACE_REF_BASE": "refs/heads",
        "GIT_ICASE_PATHSPECS": "1",
        "GIT_SSL_NO_VERIFY": "1",
        "GIT_ALLOW_PROTOCOL": "ext",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_AUTHOR_DATE": "@1 +0000",
        "GIT_COMMITTER_NAME": "Mallory",
    }


def test_t09_neither_variables_nor_settings_of_the_machine_take_part(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, canary = scene.folder, f"touch {scene.folder}/canary; false"
    (folder / "shallow").write_text(f"{scene.base}\n")
    (folder / "config/git").mkdir(parents=True)
    for file in (folder / ".gitconfig", folder / "config/git/config", folder / "system"):
        for key, value in settings(scene.evil, scene.upstream, canary).items():
            git(folder, "config", "--file", str(file), key, value)
    given = settings(scene.evil, scene.upstream, canary)
    for number, (key, value) in enumerate(given.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(given)))
    parameters = " ".join(f"'{key}'='{value}'" for key, value in given.items())
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", parameters)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(folder / "system"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(folder / "system"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("HOME", str(folder))
    for key, value in variables(folder, canary).items():
        monkeypatch.setenv(key, value)
    scene.push()
    assert scene.refs() == {MAIN: scene.new, RELEASE: scene.new}
    assert scene.repo.contains(remote="upstream", branch="main", commit=scene.new)
    port = announcements(folder, Reach())
    port.record_release(series="3.15", version="3.15.0b1", day="2026-05-07")
    assert port.recorded_release(series="3.15", version="3.15.0b1") == "2026-05-07"
    monkeypatch.undo()
    assert git(scene.evil, "for-each-ref") == ""
    assert git(scene.upstream, "for-each-ref", "--format=%(refname)").split() == [MAIN, RELEASE]
    left = {path.name for path in folder.iterdir()}
    assert not {one for one in left if one.startswith(("canary", "trace", "objects"))}


@pytest.mark.parametrize("url", ["https://example.org/x.git", "ssh://git@example.org/x.git"])
def test_t09_a_remote_of_the_clone_that_is_called_as_an_address_is_refused(
    url: str, scene: Scene
) -> None:
    """Git would push there instead, and still say that it goes to the address."""
    git(scene.repo.clone, "config", f"remote.{url}.pushurl", str(scene.evil))
    assert git(scene.repo.clone, "ls-remote", "--get-url", url) == url
    assert git(scene.repo.clone, "remote", "get-url", "--push", url) == str(scene.evil)
    refused("CLONE_CONFIG", scene.push)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("http.extraHeader", "Authorization: Basic c2VjcmV0"),
        ("http.https://example.org/.extraHeader", "Authorization: Basic c2VjcmV0"),
        ("url.https://x:c2VjcmV0@example.org/.insteadOf", "https://example.org/"),
        ("remote.upstream.url", "https://x:c2VjcmV0@example.org/"),
    ],
)
def test_a_token_in_the_settings_of_the_clone_is_not_repeated(
    key: str, value: str, scene: Scene
) -> None:
    git(scene.repo.clone, "config", key, value)
    code = "CLONE_CONFIG" if key.startswith("http") else "REMOTE_NOT_ALLOWED"
    assert "c2VjcmV0" not in refused(code, scene.push)


# --- names and words of others -----------------------------------------------------------------


def test_a_name_in_which_some_see_two_lines_is_one_name(scene: Scene) -> None:
    for ref in (f"refs/heads/{ODD}/{MAIN}", f"refs/heads/{ODD}z", f"refs/tags/{ODD}"):
        git(scene.upstream, "update-ref", ref, scene.base)
    assert scene.refs() == {MAIN: scene.base, RELEASE: None}
    make_bare(scene.upstream, "main", scene.folder / "copy.git")
    scene.push()
    assert scene.refs() == {MAIN: scene.new, RELEASE: scene.new}


def test_a_tag_that_only_names_a_commit_does_not_keep_it(scene: Scene) -> None:
    scene.push()
    git(scene.upstream, "update-ref", f"refs/tags/x\u2028{scene.new}", scene.base)
    gone = (RefUpdate(ref=RELEASE, old=scene.new, new=None),)
    refused("BRANCH_NOT_KEPT", partial(scene.repo.push, remote="upstream", updates=gone))


@pytest.mark.parametrize("end", ["\u2028", "\x0b", "\x0c", "\x1d", "\u0085"])
def test_a_name_of_an_author_is_no_line_of_a_commit(end: str, scene: Scene) -> None:
    name = f"A{end}B{end}parent {scene.base}"
    tree, parent = f"{scene.base}^{{tree}}", ("-p", scene.base)
    made = git(scene.repo.clone, "commit-tree", tree, *parent, "-m", "x", GIT_AUTHOR_NAME=name)
    inside = GitCommand(scene.repo.clone, scene.repo.clone / ".git")
    assert read_commit(inside, made)[0].parents == (scene.base,)


PROC_RECEIVE = """#!{python}
import subprocess, sys
def read():
    size = int(sys.stdin.buffer.read(4), 16)
    return sys.stdin.buffer.read(size - 4) if size else None
def write(data):
    sys.stdout.buffer.write(b"%04x%s" % (len(data) + 4, data))
while read() is not None:
    pass
write(b"version=1\\n")
sys.stdout.buffer.write(b"0000")
sys.stdout.buffer.flush()
while (line := read()) is not None:
    old, new, ref = line.decode().split()
    {deed}
    sys.stderr.write("\\x1b[2Jfrom the hook\\n")
    write(("ng " + ref + " no\\x1b]0;owned\\x07\\u202e, \\x9b31mthanks\\n").encode())
sys.stdout.buffer.write(b"0000")
"""


def answering(scene: Scene, deed: str = "pass") -> Path:
    """Let upstream refuse pushes to main in words of its own."""
    git(scene.upstream, "config", "receive.procReceiveRefs", "refs/heads/main")
    hook = scene.upstream / "hooks/proc-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(PROC_RECEIVE.format(python=sys.executable, deed=deed))
    hook.chmod(0o700)
    return hook


def test_words_of_a_server_move_no_terminal(scene: Scene) -> None:
    answering(scene)
    words = refused("PUSH_REFUSED", scene.push)
    assert "from the hook" in words
    assert "owned" in words
    assert all(one.isprintable() for one in words.replace("\n", ""))
    assert scene.refs() == {MAIN: scene.base, RELEASE: None}


def test_words_of_a_server_move_no_terminal_where_files_are_committed(tmp_path: Path) -> None:
    port = announcements(tmp_path, Reach())
    bare = tmp_path / "peps.git"
    answering(Scene(tmp_path, bare, bare, None, "", ""))  # type: ignore[arg-type]  # only its upstream
    record = partial(port.record_release, series="3.15", version="3.15.0b1", day="2026-05-07")
    words = refused("PUSH_REFUSED", record)
    assert "owned" in words
    assert all(one.isprintable() for one in words.replace("\n", ""))


def test_a_server_that_cannot_take_all_or_nothing_gets_nothing(scene: Scene) -> None:
    git(scene.upstream, "config", "receive.advertiseAtomic", "false")
    assert "atomic" in refused("PUSH_REFUSED", scene.push)
    assert scene.refs() == {MAIN: scene.base, RELEASE: None}


def test_a_push_of_which_a_server_took_half_is_called_that_and_is_completed(scene: Scene) -> None:
    update = ("git", "update-ref", RELEASE)
    hook = answering(
        scene, f"subprocess.run({update!r} + (new,), check=True, stdin=subprocess.DEVNULL)"
    )
    words = refused("PUSH_HALF", scene.push)
    assert f"took {RELEASE}" in words
    assert scene.refs() == {MAIN: scene.base, RELEASE: scene.new}
    hook.unlink()
    git(scene.upstream, "config", "--unset", "receive.procReceiveRefs")
    scene.push()
    assert scene.refs() == {MAIN: scene.new, RELEASE: scene.new}


class Redirecting(BaseHTTPRequestHandler):
    """A host whose addresses below ``/from`` lead to others; it keeps what it was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302 if self.path.startswith("/from") else 404)
        self.send_header("Location", self.path.replace("/from", "/to"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def host() -> Iterator[tuple[str, list[str]]]:
    Redirecting.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", Redirecting.asked
        server.shutdown()
        thread.join()


def test_t09_git_does_not_go_where_a_server_sends_it(
    host: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = host
    outside = GitCommand(tmp_path, protocols=("http",))
    answer = outside.ask("ls-remote", "--end-of-options", f"{url}/from/x.git")
    assert answer.status != 0
    assert asked
    assert all(one.startswith("/from") for one in asked)


# --- two at once -------------------------------------------------------------------------------

PUSHER = """
import json, sys
from pathlib import Path
from test_git_hostile import repository
from relkit.errors import ReleaseError
from relkit.values import RefUpdate
clone, remotes, more, base, new = json.loads(sys.argv[1])
repo = repository(Path(clone), remotes, **more)
for line in sys.stdin:
    n = line.strip()
    updates = (
        RefUpdate(ref=f"refs/heads/series-{n}", old=base, new=new),
        RefUpdate(ref=f"refs/tags/v{n}", old=None, new=new),
    )
    try:
        repo.push(remote="upstream", updates=updates)
    except ReleaseError as error:
        print(json.dumps([error.code, str(error)]), flush=True)
    else:
        print(json.dumps(["", ""]), flush=True)
"""


def started(script: str, *given: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, json.dumps(given)]
    tests = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": tests, "PYTHONDONTWRITEBYTECODE": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)


def told(processes: list[subprocess.Popen[str]], word: object) -> list[list[str]]:
    """Give all of them a line at once; return what each one answers."""
    for one in processes:
        assert one.stdin
        print(json.dumps(word), file=one.stdin, flush=True)
    return [json.loads(one.stdout.readline()) for one in processes if one.stdout]


def ended(processes: list[subprocess.Popen[str]]) -> None:
    for one in processes:
        one.communicate(timeout=60)


@pytest.mark.parametrize("way", ["file", pytest.param("ssh", marks=pytest.mark.slow)])
def test_t47_of_two_who_push_at_once_one_does_all_and_the_other_hears_what_is_there(
    way: str, scene: Scene
) -> None:
    rounds = 5
    for n in range(rounds):
        git(scene.upstream, "update-ref", f"refs/heads/series-{n}", scene.base)
    with sshd(scene.folder / "sshd") as server:
        reach = by_ssh(server, scene.folder / "ssh") if way == "ssh" else Reach()
        places = {name: f"{reach.before}{url}" for name, url in scene.repo.remotes.items()}
        more = {"protocols": [reach.protocol], "environment": dict(reach.environment)}
        processes, heads = [], []
        for who in ("one", "two"):
            clone = scene.folder / who / "3.15.0a1"
            git(scene.folder, "clone", "--quiet", str(scene.upstream), str(clone))
            git(clone, "remote", "remove", "origin")
            heads.append(commit_file(clone, who, who))
            processes.append(started(PUSHER, str(clone), places, more, scene.base, heads[-1]))
        answers = [told(processes, n) for n in range(rounds)]
        ended(processes)
    for n, both in enumerate(answers):
        winner = [code for code, _ in both].index("")
        there = {
            git(scene.upstream, "rev-parse", ref) for ref in (f"refs/heads/series-{n}", f"v{n}")
        }
        assert there == {heads[winner]}, "all of one, nothing of the other"
        code, words = both[1 - winner]
        assert code in {"REMOTE_MOVED", "NOT_FAST_FORWARD"}
        assert heads[winner] in words


WRITER = """
import json, sys
from pathlib import Path
from test_contract_people import DONE, ROSTER
from words_helpers import Reach, announcements, attempt, meeting
folder, who = json.loads(sys.argv[1])
folder = Path(folder)
port = announcements(folder, Reach(), own=who)
people = meeting(folder, Reach(), f"copy-{who}", roster=ROSTER)
for line in sys.stdin:
    deed, words = json.loads(line)
    mine = words.replace("WHO", who)
    calls = {
        "record": lambda: port.record_release(series="3.15", version=mine, day="2026-05-07"),
        "draft": lambda: port.draft(channel="blog", text=mine),
        "tell": lambda: people.tell(nonce="n1-x", subject="s", text=mine, roles=("expert",)),
        "testify": lambda: people.testify(testimony=DONE.model_copy(update={"text": mine})),
    }
    error = attempt(calls[deed])
    print(json.dumps([error.code if error else "", str(error or "")]), flush=True)
"""


def test_of_two_who_write_at_once_nobody_loses_or_doubles_anything(tmp_path: Path) -> None:
    announcements(tmp_path, Reach())
    meeting(tmp_path, Reach())
    put(tmp_path / "meeting.git", {"README": "Meet here."})
    processes = [started(WRITER, str(tmp_path), who) for who in ("one", "two")]

    def codes(deed: str, words: str) -> list[str]:
        return sorted(code for code, _ in told(processes, (deed, words)))

    assert codes("record", "3.15.0b1") == ["", ""]
    assert codes("draft", "the same") == ["", ""]
    assert codes("draft", "by WHO") == ["", "DRAFT_CHANGED"]
    assert codes("tell", "the same") == ["", ""]
    assert codes("tell", "by WHO") == ["SENT_DIFFERENTLY", "SENT_DIFFERENTLY"]
    assert codes("testify", "by WHO") == ["", ""]
    ended(processes)
    assert commits(tmp_path / "peps.git").count("Python 3.15.0b1 is released") == 1
    assert commits(tmp_path / "blog.git", "release").count("Draft the post python-3150b1") == 2
    made = commits(tmp_path / "meeting.git")
    assert [sum(one.startswith(name) for one in made) for name in ("Message", "Evidence")] == [1, 2]
