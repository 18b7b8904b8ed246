"""One pinned OpenSSH: who a server is, what is said to it, and nothing of anybody's settings."""

from __future__ import annotations

import json
import shlex
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import hostile
import pytest
from services.sshd import Sshd, make_key, public_of, sshd
from ssh_helpers import Stand

from relkit.adapters import remote_files, ssh_process
from relkit.adapters.openssh import Pin, Pinned, Ran, SshPlace
from relkit.adapters.remote_files import STATUS, checked_root, digests, look
from relkit.adapters.ssh_refusals import fingerprint
from relkit.errors import ReleaseError, WorldError


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Sshd]:
    """Run a server of the test's own, whose keys may change."""
    with sshd(tmp_path / "sshd") as server:
        yield server


def at(server: Sshd, folder: Path, *keys: str, user: str = "", identity: str = "") -> SshPlace:
    """Return a server with these keys pinned."""
    who = user or server.me.name
    pin = Pin(server.host, server.port, who, keys)
    pinned = Pinned(folder, hosts=(pin,), identity_file=identity or str(server.me.identity))
    return pinned.place(server.host, server.port, who)


def refused(code: str, act: Callable[[], object]) -> str:
    with pytest.raises(ReleaseError) as caught:
        act()
    assert caught.value.code == code, caught.value
    assert caught.value.remedy
    return str(caught.value)


# --- T42: who the server is -------------------------------------------------------------------


def test_t42_a_server_with_another_key_is_told_nothing(own: Sshd, tmp_path: Path) -> None:
    pinned = own.host_key
    place = at(own, tmp_path / "pinned", pinned)
    assert place.asked(("echo", "hello")) == b"hello\n"
    own.change_key()
    said = refused("HOSTKEY", lambda: place.asked(("touch", str(own.root / "canary"))))
    assert fingerprint(pinned) in said
    assert fingerprint(own.host_key) in said
    assert not (own.root / "canary").exists()


def test_t42_a_key_of_another_algorithm_is_another_key(own: Sshd, tmp_path: Path) -> None:
    pinned = own.host_key
    own.change_key("ecdsa")
    said = refused("HOSTKEY", at(own, tmp_path / "pinned", pinned).connect)
    assert fingerprint(pinned) in said
    assert fingerprint(own.host_key) in said


def test_t42_with_two_keys_pinned_either_will_do(own: Sshd, tmp_path: Path) -> None:
    coming = make_key(tmp_path / "sshd" / "other_ed25519", "ed25519")
    place = at(own, tmp_path / "pinned", own.host_key, public_of(coming))
    assert place.asked(("echo", "old")) == b"old\n"
    own.change_key()
    place.close()
    assert place.asked(("echo", "new")) == b"new\n"
    own.change_key("rsa")
    place.close()
    refused("HOSTKEY", place.connect)


def test_t42_a_key_that_only_the_user_knows_is_not_enough(
    own: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    known = tmp_path / ".ssh" / "known_hosts"
    known.write_text(f"[{own.host}]:{own.port} {own.host_key}\n", encoding="ascii")
    monkeypatch.setenv("HOME", str(tmp_path))
    refused("HOSTKEY_UNPINNED", lambda: at(own, tmp_path / "pinned"))
    other = public_of(make_key(tmp_path / "other", "ed25519"))
    refused("HOSTKEY", at(own, tmp_path / "pinned", other).connect)


def test_settings_of_the_user_and_of_git_take_no_part(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir(mode=0o700)
    config = tmp_path / ".ssh" / "config"
    config.write_text(f"Host *\nProxyCommand touch {tmp_path}/canary\nForwardAgent yes\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    place = at(stand.server, tmp_path / "pinned", stand.server.host_key)
    assert place.asked(("echo", "$SSH_AUTH_SOCK")) == b"\n"
    assert not (tmp_path / "canary").exists()
    place.close()


def test_what_openssh_makes_of_the_configuration_is_what_was_meant(stand: Stand) -> None:
    config = stand.pinned().config
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    command = ["ssh", "-G", "-F", str(config), stand.server.host]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    settings = dict(line.split(" ", 1) for line in lines if " " in line)
    wanted = {
        "stricthostkeychecking": "true",
        "batchmode": "yes",
        "updatehostkeys": "false",
        "forwardagent": "no",
        "forwardx11": "no",
        "clearallforwardings": "yes",
        "permitlocalcommand": "no",
        "tunnel": "false",
        "userknownhostsfile": str(config.with_name("known_hosts")),
        "globalknownhostsfile": "/dev/null",
        "hostkeyalgorithms": "ssh-ed25519",
        "preferredauthentications": "publickey",
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert "proxycommand" not in settings


# --- reaching it ------------------------------------------------------------------------------


def test_a_stranger_is_denied(stand: Stand, tmp_path: Path) -> None:
    key = make_key(tmp_path / "stranger", "ed25519")
    place = at(stand.server, tmp_path / "pinned", stand.server.host_key, identity=str(key))
    refused("SSH_DENIED", place.connect)


def test_a_server_that_is_down_is_said_and_found_again(own: Sshd, tmp_path: Path) -> None:
    place = at(own, tmp_path / "pinned", own.host_key)
    place.connect()
    own.stop()
    refused("SSH_UNREACHABLE", lambda: place.asked(("true",)))
    refused("SSH_UNREACHABLE", lambda: place.asked(("true",)))
    own.start()
    assert place.asked(("echo", "back")) == b"back\n"


def test_a_connection_that_broke_is_made_again(own: Sshd, tmp_path: Path) -> None:
    place = at(own, tmp_path / "pinned", own.host_key)
    for _ in range(2):
        place.connect()
        own.cut()
        try:
            assert place.asked(("echo", "back")) == b"back\n"
        except WorldError as error:
            assert error.code == "SSH_UNREACHABLE"  # noqa: PT017 (either: it can notice at once)
        assert place.asked(("echo", "back")) == b"back\n"


def test_many_calls_are_one_connection(own: Sshd, tmp_path: Path) -> None:
    place = at(own, tmp_path / "pinned", own.host_key)
    for _ in range(3):
        place.asked(("true",))
        place.sftp(["pwd"])
    assert own.log.read_text().count("Accepted publickey") == 1
    place.close()


# --- T41: remote commands ---------------------------------------------------------------------


def test_i08_noise_is_no_failure_and_the_status_decides(stand: Stand) -> None:
    place = stand.place()
    noisy = ("echo", "noise", ">&2;", "echo", "done")
    assert place.asked(noisy) == b"done\n"
    said = refused("REMOTE_FAILED", lambda: place.asked(("echo", "why", ">&2;", "exit", "1")))
    assert "status 1" in said
    assert "why" in said


def test_t41_an_early_close_is_a_failure(stand: Stand) -> None:
    """I18: what was not seen to end has not been done."""
    place = stand.place()
    refused("SSH_UNREACHABLE", lambda: place.asked(("kill", "-9", "$PPID;", "sleep", "5")))
    assert place.asked(("echo", "back")) == b"back\n"


def test_t41_names_never_reach_a_shell(stand: Stand) -> None:
    names = {text.replace("/", "\u2215") for text in hostile.STRINGS} - {"", ".", ".."}
    root = stand.fresh()
    files = []
    for name in names:
        with suppress(OSError, ValueError):  # no name of any file
            (root / name).write_bytes(name.encode())
            files.append(f"{root}/{name}")
    assert len(files) > 250
    plain = [path for path in files if path.isprintable()]
    place = stand.place()
    assert set(digests(place, plain)) == set(plain)
    assert set(digests(place, plain, large=False)) == set(plain)
    assert set(look(place, files)) == set(files)
    assert sorted(map(str, root.iterdir())) == sorted([*files, f"{root}/public", f"{root}/staging"])
    assert not list(stand.server.root.glob(f"*{hostile.CANARY}"))


def test_fixed_commands_hold_no_name() -> None:
    for argv in (
        STATUS,
        remote_files.DIGEST,
        remote_files.LARGE,
        remote_files.ROOM,
        remote_files.WHO,
    ):
        assert "/" not in " ".join(argv)


@pytest.mark.parametrize("text", hostile.STRINGS, ids=hostile.shown)
def test_hostile_words_do_not_get_into_the_configuration(text: str, tmp_path: Path) -> None:
    key = "ssh-ed25519 " + "A" * 68
    acts: list[Callable[[], object]] = [
        lambda: Pin("host", 22, "user", (text,)),
        lambda: checked_root(text),
    ]
    if not text.isalnum():
        acts.append(lambda: Pin(text, 22, "user", (key,)))
    for act in acts:
        try:
            act()
        except ReleaseError as error:
            assert error.code in {"SSH_CONFIG", "BAD_FOLDER"}  # noqa: PT017 (some are plain)
        else:
            assert not set(text) & set(" \n\r\t;|&$`'\"\\<>*?(){}!#%\0")
    for path in ("'", '"', "%d", "$HOME", "\n", "~"):
        refused("SSH_CONFIG", partial(Pinned, tmp_path / f"a{path}b", hosts=()))


def test_the_command_of_git_is_one_word_of_ours_for_a_shell(tmp_path: Path) -> None:
    pinned = Pinned(tmp_path / "with blank", hosts=())
    assert shlex.split(pinned.git_command()) == ["ssh", "-F", str(pinned.config)]
    assert pinned.environment() == {"GIT_SSH_COMMAND": pinned.git_command()}


def test_a_server_that_warns_of_its_locale_at_each_command_is_understood(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand.place()
    done = place.run
    warning = "bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)\n"

    def warned(argv: Sequence[str], stdin: bytes = b"") -> Ran:
        found = done(argv, stdin)
        return Ran(found.status, found.out, warning + found.err)

    monkeypatch.setattr(place, "run", warned)
    root = str(stand.fresh())
    assert set(look(place, [root, f"{root}/none"])) == {root}
    assert remote_files.room(place, root)[0] > 0


def test_what_is_only_not_told_of_is_not_taken_for_absent(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is out of memory ends `stat` before its end."""
    place = stand.place()
    for words in ("", "Killed\n", "bash: stat: No such file or directory\n"):
        monkeypatch.setattr(place, "run", lambda *_, words=words: Ran(137, b"", words))
        refused("REMOTE_FAILED", lambda: look(place, ["/asked"]))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"Avail IFree\n",
        b"1 2 3\n",
        b"\xff\n",
        b"9" * 5000 + b" 1\n",
        b"-1 -1\n",
        b"1\n",
    ],
)
def test_an_answer_about_room_that_is_none_is_refused(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    place = stand.place()
    monkeypatch.setattr(place, "run", lambda *_: Ran(0, answer, ""))
    refused("REMOTE_FAILED", lambda: remote_files.room(place, "/asked"))


def test_numbers_without_end_are_none(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    place = stand.place()
    record = b"81a4 %b 0 root root 1 2 /asked\0" % (b"9" * 5000)
    monkeypatch.setattr(place, "run", lambda *_: Ran(0, record, ""))
    refused("REMOTE_FAILED", lambda: look(place, ["/asked"]))
    monkeypatch.setattr(place, "run", lambda *_: Ran(0, b"9" * 5000, ""))
    refused("REMOTE_FAILED", lambda: remote_files.user_id(place))


@pytest.mark.parametrize("server", ["noisy", "without sftp", "old ciphers", "sftp only"])
def test_a_server_that_cannot_be_used_is_said_with_its_words(tmp_path: Path, server: str) -> None:
    lines = {
        "noisy": ('ForceCommand echo Welcome; eval "$SSH_ORIGINAL_COMMAND"',),
        "without sftp": ("Subsystem other /bin/false",),
        "old ciphers": ("Ciphers aes128-ctr",),
        "sftp only": ("ForceCommand internal-sftp",),
    }
    with sshd(tmp_path / "sshd", settings=lines[server]) as running:
        place = at(running, tmp_path / "pinned", running.host_key)
        if server == "without sftp":
            assert place.asked(("echo", "reached")) == b"reached\n"
            said = refused("SSH_UNFIT", lambda: place.sftp(["pwd"]))
            assert "SFTP" in said.upper()
        elif server == "old ciphers":
            assert "cipher" in refused("SSH_UNFIT", place.connect)
        else:
            said = refused("REMOTE_FAILED", lambda: remote_files.user_id(place))
            assert "Welcome" in said or "sftp" in said
            refused("REMOTE_FAILED", lambda: look(place, ["/tmp"]))  # noqa: S108 (looked at only)
        place.close()


def test_what_takes_long_is_ended_but_not_many_things_that_do_not(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is that of one file, so that forty on a slow line are sent."""
    place = stand.place()
    place.connect()
    monkeypatch.setattr(ssh_process, "COMMAND_SECONDS", 4.0)
    begun: list[str] = []

    def slow(command: str) -> None:
        begun.append(command)
        time.sleep(1.0)  # in the place of a slow line

    assert place.sftp(["pwd"] * 6, begun=slow).status == 0
    assert len(begun) == 6
    monkeypatch.setattr(ssh_process, "COMMAND_SECONDS", 0.5)
    refused("SSH_UNREACHABLE", lambda: place.asked(("sleep", "30")))


# --- T43: what a server answers ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"../../.bashrc", b"/etc/passwd", b"/a\nb", b"/\xff", b"/asked/", b""]
)
def test_t43_a_name_nobody_asked_for_is_refused(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    place = stand.place()
    record = b"81a4 5 0 root root 1 2 " + name + b"\0"
    monkeypatch.setattr(place, "run", lambda *_: Ran(0, record, ""))
    refused("REMOTE_NAME" if name else "REMOTE_FAILED", lambda: look(place, ["/asked"]))
    digest = b"0" * 64 + b"  " + name + b"\0"
    monkeypatch.setattr(place, "run", lambda *_: Ran(0, digest, ""))
    ask = partial(digests, place, ["/asked"])
    refused("REMOTE_NAME" if name else "REMOTE_FAILED", partial(ask, large=False))
    with pytest.raises(WorldError, match=r"REMOTE_(NAME|FAILED)"):
        ask(large=True)


def test_t43_a_listing_without_end_is_cut_off(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_process, "LIMIT_BYTES", 1 << 16)
    refused("REMOTE_NAME", lambda: stand.place().asked(("yes",)))
    monkeypatch.undo()
    assert stand.place().asked(("echo", "on")) == b"on\n"


def test_an_answer_that_is_none_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    place = stand.place()
    for answer in (b"Welcome!\n", b"Welcome!\0", json.dumps({}).encode(), b"81a4 5"):
        monkeypatch.setattr(place, "run", lambda *_, answer=answer: Ran(0, answer, ""))
        refused("REMOTE_FAILED", lambda: look(place, ["/asked"]))
