from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import test_manifest
from jinja2 import Environment, PackageLoader, UndefinedError

import relkit.texts
from relkit.errors import CheckError
from relkit.kinds import RELEASES, TRANSITIONS, Kind
from relkit.release import Release
from relkit.texts import (
    CHANNELS,
    TRUSTED,
    notice,
    posted,
    security_fixes,
    superseded_text,
    text_for,
    text_of_transition,
    told,
)
from relkit.texts.links import LINK, links
from relkit.values import Artifact, Person

RELEASE = {
    "3.15.0a1": "2026-05-05",
    "3.13.0a6": "2024-04-09",
    "3.15.0b1": "2026-05-05",
    "3.15.0b2": "2026-06-02",
    "3.15.0rc1": "2026-07-28",
    "3.15.0rc2": "2026-09-01",
    "3.14.5rc1": "2026-05-12",
    "3.15.0": "2026-10-01",
    "3.14.2": "2025-12-05",
    "3.13.11": "2025-12-05",
    "3.12.13": "2026-03-03",
    "3.10.20": "2026-03-03",
}
RELEASED = {version: Release.parse(version, "", day) for version, day in RELEASE.items()}
ALPHA, OLDER = RELEASED["3.15.0a1"], RELEASED["3.13.0a6"]
CHANGED = {
    Kind.BEGIN_BUGFIX: Release.parse("3.15", "begin-bugfix", "2026-10-02"),
    Kind.BEGIN_SECURITY_ONLY: Release.parse("3.13", "begin-security-only", "2026-10-08"),
    Kind.END_OF_LIFE: Release.parse("3.10", "end-of-life", "2026-11-02"),
}
WORDS = {
    "an alpha": ("3.15.0a1", "3.13.0a6"),
    "a beta": ("3.15.0b1", "3.15.0b2"),
    "a release candidate": ("3.15.0rc1", "3.15.0rc2", "3.14.5rc1"),
    "first stable release": ("3.15.0",),
    "a bugfix release": ("3.14.2", "3.13.11"),
    "a security release": ("3.12.13", "3.10.20"),
}
"""What a release is called, and which are called so."""
RIKA = Person(name="Rika", role="release-manager", time_zone="Europe/London")


def text(
    channel: str,
    release: Release = ALPHA,
    manager: Person = RIKA,
    *,
    rehearsal: bool = True,
    **absent: str,
) -> str:
    manifest = test_manifest.manifest_of(release)
    manifest = manifest.model_copy(update={"absent": {**manifest.absent, **absent}})
    return text_for(channel, release, manifest, manager, rehearsal=rehearsal)


def plain(channel: str, version: str) -> str:
    """Return a text of a real release with single spaces."""
    return " ".join(text(channel, RELEASED[version], rehearsal=False).split())


def test_every_template_is_a_channel_a_transition_or_a_note() -> None:
    folder = Path(relkit.texts.__file__).parent
    found = {path.name.removesuffix(".md.j2") for path in folder.glob("*.md.j2")}
    assert found == {*CHANNELS, *TRANSITIONS, "build", "notice", "superseded"}


def test_every_kind_has_an_example_here() -> None:
    assert {one.kind for one in RELEASED.values()} == RELEASES
    assert set(CHANGED) == TRANSITIONS


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("release", RELEASED.values(), ids=RELEASED)
def test_each_text_names_the_version_and_the_same_text_comes_out_twice(
    channel: str, release: Release
) -> None:
    once = text(channel, release)
    assert once == text(channel, release)
    assert str(release.version) in once
    assert "{{" not in once
    assert "{%" not in once
    assert once.endswith("\n")
    assert not re.search(r"[ \t]+$|\n\n\n", once, flags=re.MULTILINE)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_rehearsal_says_so_in_every_text_and_a_release_does_not(channel: str) -> None:
    assert "rehearsal" in text(channel)
    assert "rehearsal" not in text(channel, rehearsal=False)


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_link_leads_to_a_trusted_place(channel: str) -> None:
    for link in LINK.findall(text(channel)):
        assert link.startswith(TRUSTED)


@pytest.mark.parametrize("channel", ["discuss", "blog", "committers", "advisory"])
def test_who_is_told_finds_the_page(channel: str) -> None:
    assert "https://www.python.org/downloads/release/python-3150a1/" in text(channel)


def test_what_is_announced_is_what_the_manifest_holds() -> None:
    shown = text("discuss")
    for one in test_manifest.manifest_of(ALPHA).subjects:
        assert f"| {one.name} | {one.size} | `{one.sha256}` |" in shown
    assert f"There are {len(test_manifest.manifest_of(ALPHA).subjects)} files" in text("blog")


def test_gpg_is_named_only_where_it_is_used() -> None:
    assert "and with GPG" in text("page", OLDER)
    assert "GPG" not in text("page", ALPHA)


# --- each kind by its facts -------------------------------------------------------------------


@pytest.mark.parametrize("version", RELEASED)
@pytest.mark.parametrize("channel", ["page", "discuss", "blog"])
def test_a_release_is_called_what_it_is_and_nothing_else(version: str, channel: str) -> None:
    shown = plain(channel, version)
    assert [word for word, versions in WORDS.items() if version in versions] == [
        word for word in WORDS if re.search(rf"\b{word}\b", shown)
    ]


@pytest.mark.parametrize("version", RELEASED)
@pytest.mark.parametrize("channel", CHANNELS)
def test_no_text_speaks_of_an_alpha_that_is_none(version: str, channel: str) -> None:
    is_alpha = version in WORDS["an alpha"]
    assert is_alpha or "alpha" not in plain(channel, version).lower()
    assert is_alpha or version in WORDS["a beta"] or "beta" not in plain(channel, version).lower()


@pytest.mark.parametrize(
    ("version", "channel", "words"),
    [
        ("3.15.0b1", "page", "No more features are added to 3.15"),
        ("3.15.0b1", "committers", "Features go to main, which is 3.16 from now on"),
        ("3.15.0b1", "committers", 'label "needs backport to 3.15"'),
        ("3.15.0b2", "committers", "The branch 3.15 takes commits again"),
        ("3.15.0rc1", "page", "please do not use it in production"),
        ("3.15.0rc1", "page", "The binary interface is settled"),
        ("3.15.0rc1", "page", "https://docs.python.org/release/3.15.0rc1/"),
        ("3.14.5rc1", "page", "a release candidate of Python 3.14.5"),
        ("3.15.0rc2", "committers", "say which ones cannot wait"),
        ("3.15.0", "page", "Thanks to everybody who wrote"),
        ("3.15.0", "page", "bug fixes until 2028-10-01, and security fixes until 2031-10-31"),
        ("3.15.0", "discuss", "https://docs.python.org/3.15/whatsnew/3.15.html"),
        ("3.15.0", "discuss", "Thank you for every patch"),
        ("3.15.0", "committers", "takes bug fixes again, for 3.15.1"),
        ("3.14.2", "page", "https://docs.python.org/release/3.14.2/whatsnew/changelog.html"),
        ("3.14.2", "discuss", "brings no new features"),
        ("3.14.2", "committers", "takes bug fixes again, for 3.14.3"),
        ("3.12.13", "page", "as source only"),
        ("3.12.13", "page", "for those who build Python themselves"),
        ("3.12.13", "page", "nothing but security fixes any more, until 2028-10-31"),
        ("3.12.13", "page", "no installers for Windows and macOS"),
        ("3.12.13", "discuss", "source only"),
        ("3.12.13", "blog", "source only"),
        ("3.12.13", "committers", "for security fixes only"),
        ("3.12.13", "advisory", "published, source only"),
    ],
)
def test_each_kind_says_what_its_readers_need(version: str, channel: str, words: str) -> None:
    assert words in plain(channel, version)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("3.14.5rc1", "The binary interface is settled"),
        ("3.15.0", "production"),
        ("3.14.2", "production"),
        ("3.12.13", "/cpython/issues"),
        ("3.15.0a1", "docs.python.org/release/"),
        ("3.15.0b1", "docs.python.org/release/"),
    ],
)
def test_no_page_says_what_is_not_so(version: str, words: str) -> None:
    assert words not in plain("page", version)


@pytest.mark.parametrize("channel", ["page", "discuss", "blog", "committers"])
def test_what_is_missing_will_follow_and_the_reason_is_told(channel: str) -> None:
    shown = text(channel, macos="the expert is travelling.\n", sbom="not made")
    assert "* The installer for macOS will follow: the expert is travelling.\n" in shown
    assert "yet:" in shown
    assert "SBOM" not in shown
    assert "yet:" not in text(channel)


def test_nothing_is_promised_that_the_kind_or_version_does_not_have() -> None:
    assert "will follow" not in text("page", RELEASED["3.12.13"], macos="source only")
    assert "will follow" not in text("page", RELEASED["3.13.11"], ios="not before 3.15")


def test_a_reason_cannot_bring_a_link() -> None:
    with pytest.raises(CheckError, match=r"links to https://evil\.example/"):
        text("page", macos="see https://evil.example/")


@pytest.mark.parametrize("version", RELEASED)
def test_only_a_security_release_has_an_advisory(version: str) -> None:
    release = RELEASED[version]
    security = release.kind is Kind.SECURITY
    assert ("advisory" in told(release)) == security
    assert ("advisory" in posted(release)) == security
    assert set(told(release)) <= set(CHANNELS)


# --- news --------------------------------------------------------------------------------------

NEWS = """\
.. date: 2026-02-01-00-00-00
.. gh-issue: 900004
.. nonce: abcdef
.. release date: 2026-03-03
.. section: Security

Refuse *negative* beads of :class:`!abacus.Row`,
see https://evil.example/ (CVE-2026-1234).

..

.. bpo: 31337
.. date: 2026-02-01
.. nonce: ghijkl
.. section: Security

Older.

..

.. gh: 900005
.. section: Library

Security is not the section of this one.
"""


def test_an_advisory_tells_the_news_of_the_section_security_without_their_links() -> None:
    assert security_fixes(NEWS) == (
        "gh-900004: Refuse *negative* beads of `abacus.Row`, see (see there) (CVE-2026-1234).",
        "bpo-31337: Older.",
    )
    assert security_fixes("") == ()


# --- transitions and notes ---------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["discuss", "committers"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind.BEGIN_BUGFIX, ("3.15", "bug fixes", "2026-10-02", "bugfix")),
        (Kind.BEGIN_SECURITY_ONLY, ("3.13", "security", "2026-10-08")),
        (Kind.END_OF_LIFE, ("3.10", "end of life", "2026-11-02", "end-of-life")),
    ],
)
def test_a_transition_says_which_branch_changes_when_and_to_what(
    channel: str, kind: Kind, words: tuple[str, ...]
) -> None:
    shown = text_of_transition(channel, CHANGED[kind], RIKA, rehearsal=False)
    assert all(word in shown for word in words)
    assert "rehearsal" not in shown
    assert "rehearsal" in text_of_transition(channel, CHANGED[kind], RIKA, rehearsal=True)
    assert shown.startswith("Subject: " if channel == "committers" else "# Python 3.")
    assert all(link.startswith(TRUSTED) for link in LINK.findall(shown))
    assert not re.search(r"[ \t]+$|\n\n\n", shown, flags=re.MULTILINE)


def test_who_must_leave_a_branch_is_told_where_to() -> None:
    for kind in (Kind.BEGIN_SECURITY_ONLY, Kind.END_OF_LIFE):
        shown = text_of_transition("discuss", CHANGED[kind], RIKA, rehearsal=False)
        assert "the newest is Python 3.15" in shown


def test_a_superseded_release_leads_to_the_one_that_replaces_it() -> None:
    assert superseded_text("3.14.1", RELEASED["3.14.2"].version) == (
        "Python 3.14.1 is superseded by "
        "[Python 3.14.2](https://www.python.org/downloads/release/python-3142/).\n"
    )


# --- links and markup --------------------------------------------------------------------------


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


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    "planted",
    [
        "https://www.pyth0n.org/downloads/",
        "www.pyth0n.org",
        "Get it at pyth0n.org",
        "[here](//pyth0n.org/)",
        "[here](mailto:x@pyth0n.org)",
        "[here]\n\n[here]: /downloads/",
        "<a href='javascript:run()'>here</a>",
        "<img src=//pyth0n.org/x.png>",
        "https://www.pyth\u043en.org/",
    ],
)
def test_t49_a_template_that_leads_elsewhere_is_refused(
    planted: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, planted)
    with pytest.raises(CheckError) as refusal:
        text(channel)
    assert refusal.value.code == "ANNOUNCE_LINK"


@pytest.mark.parametrize("channel", CHANNELS)
def test_t49_a_template_with_another_digest_is_refused(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = test_manifest.manifest_of(ALPHA).subjects[10:12]
    right = f"{first.name} {first.sha256}"
    plant(monkeypatch, right)
    assert right in text(channel)
    for wrong in (
        f"{first.name} {'f' * 64}",
        f"{other.name} {first.sha256}",
        f"{first.name}.asc {first.sha256}",
        first.sha256,
        f"MD5 {'a' * 32}",
        f"{first.name} {first.sha256.upper()}",
        f"{first.name} {first.sha256[:-1]}",
    ):
        plant(monkeypatch, wrong)
        with pytest.raises(CheckError) as refusal:
            text(channel)
        assert refusal.value.code == "ANNOUNCE_DIGEST"


def plant(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Put words at the end of every template."""
    loader = relkit.texts._TEMPLATES.loader
    assert loader is not None
    whole = PackageLoader("relkit", "texts")

    def get_source(environment: Environment, name: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, _ = whole.get_source(environment, name)
        return source + (f"\n{words}\n" if name.endswith(".md.j2") else ""), path, lambda: False

    monkeypatch.setattr(relkit.texts._TEMPLATES, "cache", None)
    monkeypatch.setattr(loader, "get_source", get_source)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("release", RELEASED.values(), ids=RELEASED)
def test_all_that_could_become_a_link_is_one_to_a_trusted_place(
    channel: str, release: Release
) -> None:
    found = list(links(text(channel, release)))
    assert found
    assert all(one.startswith(TRUSTED) for one in found)


@pytest.mark.parametrize("version", RELEASED)
def test_a_post_has_the_front_matter_of_the_blog_and_is_not_published_by_itself(
    version: str,
) -> None:
    manager = RIKA.model_copy(update={"name": 'Rika: "R" #1'})
    empty, head, _ = text("blog", RELEASED[version], manager).split("---\n", 2)
    assert empty == ""
    assert head.splitlines()[:3] == [
        f"title: Python {version}",
        f"publishDate: '{RELEASE[version]}'",
        r'author: "Rika: \"R\" #1"',
    ]
    assert head.splitlines()[-3:] == ["tags:", "  - releases", "published: false"]


def test_a_template_that_names_what_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = relkit.texts._TEMPLATES.from_string("{{ nobody }}")
    monkeypatch.setattr(relkit.texts._TEMPLATES, "get_template", lambda _: broken)
    with pytest.raises(UndefinedError, match="nobody"):
        text("page")


def test_a_notice_gives_each_person_the_time_in_the_own_zone() -> None:
    """I62: experts live in other time zones."""
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
