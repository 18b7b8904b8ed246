from __future__ import annotations

import re
from pathlib import Path

import pytest
import test_manifest
from jinja2 import UndefinedError

import relkit.texts
from relkit.errors import CheckError
from relkit.release import Release
from relkit.texts import CHANNELS, LINK, TRUSTED, notice, text_for
from relkit.values import Artifact, Person

ALPHA, OLDER = test_manifest.ALPHA, test_manifest.OLDER
RIKA = Person(name="Rika", role="release-manager", time_zone="Europe/London")


def text(
    channel: str, release: Release = ALPHA, manager: Person = RIKA, *, rehearsal: bool = True
) -> str:
    manifest = test_manifest.manifest_of(release)
    return text_for(channel, release, manifest, manager, rehearsal=rehearsal)


def test_every_template_is_a_channel_or_the_notice() -> None:
    folder = Path(relkit.texts.__file__).parent
    found = {path.name.removesuffix(".md.j2") for path in folder.glob("*.j2")}
    assert found == {*CHANNELS, "notice"}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("release", [ALPHA, OLDER], ids=["3.15", "3.13"])
def test_each_text_names_the_version_and_the_same_text_comes_out_twice(
    channel: str, release: Release
) -> None:
    once = text(channel, release)
    assert once == text(channel, release)
    assert str(release.version) in once
    assert "{{" not in once
    assert "{%" not in once
    assert once.endswith("\n")
    assert not re.search(r"[ \t]+$", once, flags=re.MULTILINE)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_rehearsal_says_so_in_every_text_and_a_release_does_not(channel: str) -> None:
    assert "rehearsal" in text(channel)
    assert "rehearsal" not in text(channel, rehearsal=False)


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_link_leads_to_a_trusted_place(channel: str) -> None:
    for link in LINK.findall(text(channel)):
        assert link.startswith(TRUSTED)


@pytest.mark.parametrize("channel", ["discuss", "blog", "committers"])
def test_who_is_told_finds_the_page(channel: str) -> None:
    assert "https://www.python.org/downloads/release/python-3150a1/" in text(channel)


def test_what_is_announced_is_what_the_manifest_holds() -> None:
    shown = text("discuss")
    for one in test_manifest.manifest_of(ALPHA).subjects:
        assert f"| {one.name} | {one.size} | `{one.sha256}` |" in shown
    assert "There are 12 files" in text("blog")


def test_gpg_is_named_only_where_it_is_used() -> None:
    assert "and with GPG" in text("page", OLDER)
    assert "GPG" not in text("page", ALPHA)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.org/",
        "http://www.python.org/",
        "https://www.python.org.evil.example/",
        "https://www.python.org@evil.example/",
        "HTTPS://evil.example.org/",
        "ftp://www.python.org/",
        "https://peps.python.org",
    ],
)
def test_a_link_to_another_place_is_refused(link: str) -> None:
    manager = RIKA.model_copy(update={"name": f"Rika ({link})"})
    with pytest.raises(CheckError) as refusal:
        text("page", manager=manager)
    assert refusal.value.code == "ANNOUNCE_LINK"
    assert link.rstrip("/") in str(refusal.value)


def test_a_template_that_names_what_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = relkit.texts._TEMPLATES.from_string("{{ nobody }}")
    monkeypatch.setattr(relkit.texts._TEMPLATES, "get_template", lambda _: broken)
    with pytest.raises(UndefinedError, match="nobody"):
        text("page")


def test_a_notice_gives_each_person_the_time_in_the_own_zone() -> None:
    people = (
        Person(name="Wanda", role="windows-expert", time_zone="America/Los_Angeles"),
        Person(name="Mikko", role="macos-expert", time_zone="Europe/Helsinki"),
    )
    shown = notice(ALPHA, people, "About to be made", "Please build.")
    assert "The release is dated 2026-05-05 12:00 UTC" in shown
    assert "* Wanda (windows-expert): Tue 2026-05-05 05:00 PDT" in shown
    assert "* Mikko (macos-expert): Tue 2026-05-05 15:00 EEST" in shown


def test_names_in_a_manifest_cannot_bring_markup_into_a_text() -> None:
    for name in ("a|b", "a`b", "<b>", "[x](y)"):
        with pytest.raises(ValueError, match="validation error"):
            Artifact(name=name, size=1, sha256="0" * 64)
