"""What the doctor asks of real systems: without an effect, and well only where it is."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rehearsals
from cdns import Network, network
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from services.github_scene import Actions
from services.github_standin import TOKEN
from services.github_standin_state import PINNED_WORKFLOW, turn
from test_azure import build as azure_build
from test_azure import pipeline, service

from relkit.adapters.cdn_key import forgets, key_told
from relkit.adapters.certificates import good_until
from relkit.adapters.git_rights import may_push
from relkit.adapters.github import github, signed_in
from relkit.adapters.gpg import GpgSigner, make_throwaway_key
from relkit.adapters.rest import Rest
from relkit.adapters.secrets import Secrets, variable
from relkit.adapters.web import Web
from relkit.errors import CheckError, ReleaseError, UsageError, WorldError
from relkit.places import GitHub
from relkit.probe import Seen
from relkit.real.probing import _account, _had
from relkit.real.probing_servers import _clocks

NOW = dt.datetime.now(dt.UTC)


def dispatchable(actions: Actions) -> Seen:
    seen = actions.service().dispatchable(build=actions.build())
    assert actions.dispatched() == 0
    return seen


# --- GitHub ---------------------------------------------------------------------------------------


def test_a_token_that_may_dispatch_is_known_by_a_dispatch_that_starts_nothing(
    actions: Actions,
) -> None:
    assert dispatchable(actions) == Seen("refused for the branch alone, which does not exist")


def test_a_token_that_may_not_dispatch_is_refused_the_day_before(actions: Actions) -> None:
    turn(actions.scene.folder, may_dispatch=False)
    with pytest.raises(WorldError) as refusal:
        dispatchable(actions)
    assert refusal.value.code == "SERVICE_DENIED"


def test_a_dispatch_without_a_clear_answer_is_not_known_and_says_how_to_find_out(
    actions: Actions,
) -> None:
    asking = actions.service()

    def unclear(*_: object) -> None:
        raise asking._rest.unknown("POST dispatches")

    asking._rest.write = unclear  # type: ignore[method-assign,assignment]  # a line that breaks
    assert "Run workflow" in asking.dispatchable(build=actions.build()).unsure


def test_a_refusal_for_another_reason_than_the_branch_is_not_taken_for_a_right(
    actions: Actions,
) -> None:
    asking = actions.service()

    def other(*_: object) -> None:
        said = "POST dispatches answered 422: Unexpected inputs provided; nothing was changed"
        raise asking._rest.error("CONFLICT", said, "Compare.")

    asking._rest.write = other  # type: ignore[method-assign,assignment]  # as GitHub may say it
    seen = asking.dispatchable(build=actions.build())
    assert "Unexpected inputs" in seen.found
    assert seen.unsure


def test_a_workflow_that_is_there_enabled_and_pinned_is_well(actions: Actions) -> None:
    assert "Build release is active" in actions.service().described()


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"state": "disabled_manually"}, "WORKFLOW_OFF"),
        ({"workflow": PINNED_WORKFLOW.replace("1" * 40, "v5")}, "ACTION_UNPINNED"),
    ],
)
def test_a_workflow_that_would_be_refused_later_is_refused_now(
    actions: Actions, knobs: dict[str, Any], code: str
) -> None:
    turn(actions.scene.folder, **knobs)
    with pytest.raises(CheckError) as refusal:
        actions.service().described()
    assert refusal.value.code == code


def test_a_token_that_lacks_one_right_is_still_asked_for_the_others(
    actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable("lab", "github-token"), TOKEN)
    secrets = Secrets("lab", ask=lambda _: "")
    secrets.hold()
    rest = github(
        actions.scene.rest.web,
        secrets.getter("github-token"),
        denied=lambda: secrets.forget("github-token"),
    )
    turn(actions.scene.folder, may_dispatch=False)
    asking = actions.service()
    asking._rest = rest
    for _ in range(2):
        with pytest.raises(WorldError, match="SERVICE_DENIED"):
            asking.dispatchable(build=actions.build())
    assert "is active" in asking.described()


def test_all_secrets_that_are_missing_are_said_at_once() -> None:
    secrets = Secrets("nobody's", ask=lambda _: "")
    with pytest.raises(WorldError, match=r"no site-key .*; there is no cdn-key") as refusal:
        _had(secrets, ["site-key", "cdn-key"])
    assert refusal.value.code == "SECRET_MISSING"


def test_a_token_says_whose_it_is_and_until_when_it_is_good(actions: Actions) -> None:
    assert signed_in(actions.scene.rest) == ("rae", None)
    end = dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC)
    for said in ("2026-12-01 12:00:00 UTC", "2026-12-01 14:00:00 +0200"):
        turn(actions.scene.folder, expires=said)
        assert signed_in(actions.scene.rest) == ("rae", end)
    turn(actions.scene.folder, expires="soon")
    with pytest.raises(WorldError, match="SERVICE_UNREADABLE"):
        signed_in(actions.scene.rest)


@pytest.mark.parametrize(
    ("mentions", "code"),
    [
        ({}, ""),
        ({"Rae Manager": "Rae", "Sam Second": "sam"}, ""),
        ({"Rae Manager": "rae2", "Sam Second": "RAE"}, "SAME_ACCOUNT"),
        ({"Rae Manager": "other", "Sam Second": "Other"}, "SAME_ACCOUNT"),
    ],
)
def test_two_persons_have_two_accounts(
    actions: Actions, mentions: dict[str, str], code: str
) -> None:
    place = GitHub(repository="python/cpython", mentions=mentions)
    try:
        found = _account(actions.scene.rest, place, "Rae Manager").found
    except CheckError as error:
        found = error.code
    assert found == (code or "the token is of rae")


# --- Azure ----------------------------------------------------------------------------------------


def test_a_trial_of_the_pipeline_makes_no_run_and_says_what_it_refuses(tmp_path: Path) -> None:
    with service(tmp_path) as azure:
        one = azure_build(options={"tag": azure_build().options["tag"]})
        pipeline(azure.url).rehearse(build=one)
        azure.refusal = "you may not queue builds"
        with pytest.raises(WorldError, match="you may not queue"):
            pipeline(azure.url).rehearse(build=one)
        with pytest.raises(ReleaseError, match="SERVICE_"):
            pipeline(azure.url, "no-token").rehearse(build=one)
        assert (azure.runs, azure.previews) == ([], 1)


# --- the cache ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("guarded"), purge_auth=True) as one:
        yield one


def fastly(guarded: Network, key: str) -> Rest:
    web = Web(guarded.cdn.url)
    return Rest("Fastly", web, headers=lambda: {"Fastly-Key": key}, secrets=lambda: (key,))


def test_a_purge_key_says_what_it_may_and_until_when(guarded: Network) -> None:
    seen = key_told(fastly(guarded, guarded.cdn.key), guarded.cdn.service)
    assert seen == Seen("it may purge_select", until=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    assert guarded.cdn.purged() == []
    with pytest.raises(CheckError, match="PURGE_SCOPE"):
        key_told(fastly(guarded, guarded.cdn.key), "another")
    with pytest.raises(WorldError, match="SERVICE_DENIED"):
        key_told(fastly(guarded, "wrong"), guarded.cdn.service)


def test_an_address_is_purged_that_nobody_has_with_the_key_where_one_is_asked_for(
    guarded: Network,
) -> None:
    web = Web(guarded.cdn.url)
    assert forgets(web, guarded.cdn.key).unsure == ""
    with pytest.raises(WorldError) as refusal:
        forgets(web, "")
    assert refusal.value.code == "PURGE_REFUSED"
    assert guarded.cdn.key not in str(refusal.value)
    assert {*guarded.cdn.purged()} == {"/relkit-doctor"}


# --- git ------------------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    rehearsals.git(tmp_path, "init", "--bare", "--quiet", str(tmp_path / "a.git"))
    return tmp_path / "a.git"


def over_ssh(tmp_path: Path, script: str) -> dict[str, str]:
    """Return what lets git go by a program of ours in the place of ssh."""
    program = tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\nfor last; do :; done\n{script}\n", encoding="ascii")
    program.chmod(0o755)
    return {"GIT_SSH_COMMAND": str(program), "GIT_SSH_VARIANT": "simple"}


def test_whether_a_server_takes_pushes_is_asked_without_one(bare: Path, tmp_path: Path) -> None:
    before = rehearsals.tree(bare)
    seen = may_push(str(bare), folder=tmp_path, protocols=("file",), environment={})
    assert seen == Seen("it would take a push; 0 refs are there")
    environment = over_ssh(tmp_path, 'exec sh -c "$last"')
    url = f"ssh://git@x.invalid{bare}"
    assert may_push(url, folder=tmp_path, protocols=("ssh",), environment=environment) == seen
    assert rehearsals.tree(bare) == before


def test_who_may_only_read_is_told_so_by_the_server(bare: Path, tmp_path: Path) -> None:
    script = 'case "$last" in *receive-pack*) echo "Permission denied to me" >&2; exit 1;; esac'
    environment = over_ssh(tmp_path, f'{script}\nexec sh -c "$last"')
    url = f"ssh://git@x.invalid{bare}"
    with pytest.raises(WorldError, match="Permission denied to me") as refusal:
        may_push(url, folder=tmp_path, protocols=("ssh",), environment=environment)
    assert refusal.value.code == "PUSH_DENIED"


def test_by_https_it_is_not_known(tmp_path: Path) -> None:
    seen = may_push(
        "https://x.invalid/a.git", folder=tmp_path, protocols=("https",), environment={}
    )
    assert seen.unsure
    with pytest.raises(UsageError):
        may_push("ssh://x.invalid/a", folder=tmp_path, protocols=("https",), environment={})


# --- what ends ------------------------------------------------------------------------------------


def test_a_key_says_until_when_it_is_good(tmp_path: Path) -> None:
    fingerprint = make_throwaway_key(tmp_path / "g", "Rae", "rae@x.invalid")
    with GpgSigner(tmp_path / "g", fingerprint) as gpg:
        assert gpg.expires() is None
        until = NOW + dt.timedelta(days=3)
        environment = {**gpg.environment(), "PATH": "/usr/bin:/bin"}
        subprocess.run(
            ["gpg", "--batch", "--quick-set-expire", fingerprint, f"{until:%Y%m%dT%H%M%S}"],
            env=environment,
            check=True,
            timeout=30,
        )
        found = gpg.expires()
    assert found is not None
    assert abs(found - until) < dt.timedelta(days=1)
    with (
        GpgSigner(tmp_path / "h", fingerprint) as other,
        pytest.raises(WorldError, match="GPG_KEY"),
    ):
        other.expires()


@contextmanager
def tls(folder: Path, end: dt.datetime) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Serve TLS with a certificate that ends then; yield the address, and who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(end - dt.timedelta(days=90)).not_valid_after(end)
    made = made.add_extension(host, critical=False)
    signed = made.sign(key, hashes.SHA256())
    pem = folder / "pem"
    pem.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def once() -> None:
            plain, _ = listening.accept()
            with plain:
                try:
                    server.wrap_socket(plain, server_side=True).close()
                except OSError:
                    return

        thread = threading.Thread(target=once)
        thread.start()
        yield (
            f"https://127.0.0.1:{listening.getsockname()[1]}/",
            ssl.create_default_context(cafile=str(pem)),
        )
        thread.join()


def test_a_certificate_says_until_when_it_is_good(tmp_path: Path) -> None:
    end = (NOW + dt.timedelta(days=5)).replace(microsecond=0)
    with tls(tmp_path, end) as (url, context):
        assert good_until(url, context) == end


def test_a_certificate_that_is_over_is_not_good(tmp_path: Path) -> None:
    with tls(tmp_path, NOW - dt.timedelta(days=1)) as (url, context):
        with pytest.raises(WorldError, match="expired") as refusal:
            good_until(url, context)
        assert refusal.value.code == "CERTIFICATE"


def test_a_host_that_does_not_answer_has_no_certificate() -> None:
    with pytest.raises(WorldError, match="SITE_UNREACHABLE"):
        good_until("https://127.0.0.1:9/")


def test_a_clock_that_differs_is_named_and_one_that_is_silent_is_not_known() -> None:
    assert _clocks({"a": 1.0, "b": -59.0}) == Seen("a -1 s, b +59 s")
    assert "See whether b" in _clocks({"a": 0.0, "b": None}).unsure
    with pytest.raises(CheckError, match=r"b \+120 s"):
        _clocks({"a": 0.0, "b": -120.0})
