"""The texts of a release and of a transition, rendered by Jinja2 templates beside this file.

A template reads facts of the release (its kind's row, its level, its platforms), never the name
of a kind; ``words.j2`` has what several of them say in the same way.
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from relkit.cycle import cycle
from relkit.manifest import SITE, Manifest
from relkit.release import Release, Version
from relkit.texts.links import LINK, require_digests, require_links
from relkit.values import Person

TRUSTED = (SITE, "https://peps.python.org/", "https://docs.python.org/", "https://github.com/")
CHANNELS = ("page", "discuss", "blog", "committers", "advisory")
"""Where a release is told: the site's page, the forum, the blog, the committers, and for a
security release the list for security."""
PLACES = {
    "discuss": "https://discuss.python.org/t/",
    "blog": "https://blog.python.org/",
    "advisory": "https://mail.python.org/archives/list/security-announce@python.org/",
}
"""How the address of a post begins; the mail to the committers is not looked for."""
PLATFORMS = {
    "windows": "The files for Windows",
    "macos": "The installer for macOS",
    "android": "The packages for Android",
    "ios": "The package for iOS",
}
CHUNK = re.compile(r"(?m)^\.\.[ \t]*$")
FIELD = re.compile(r"(?m)^\.\. ([a-z -]+): ?(.*)$")
ISSUES = {"gh-issue": "gh", "gh": "gh", "bpo": "bpo"}
ROLE = re.compile(r":[a-z:+-]+:(`[^`\n]*`)")

_TEMPLATES = Environment(
    loader=PackageLoader("relkit", "texts"),
    autoescape=False,  # noqa: S701 (Markdown for people; the site escapes it itself)
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.globals["zone"] = ZoneInfo


def told(release: Release) -> tuple[str, ...]:
    """Return the channels that tell of a release once it is public; its page is apart."""
    return ("discuss", "blog", "committers", *(["advisory"] if release.facts.embargoed else []))


def posted(release: Release) -> dict[str, str]:
    """Return the channels whose posts anybody can read, with how their addresses begin."""
    return {name: PLACES[name] for name in told(release) if name in PLACES}


def text_for(
    channel: str,
    release: Release,
    manifest: Manifest,
    manager: Person,
    *,
    rehearsal: bool,
    fixes: tuple[str, ...] = (),
) -> str:
    """Return the draft for a channel.

    Raises `CheckError`: ``ANNOUNCE_LINK`` for links to other places, ``ANNOUNCE_DIGEST`` for
    digests that are not the manifest's.
    `fixes` are the lines of an advisory, from `security_fixes`.
    """
    late = {
        name: " ".join(reason.split()).rstrip(".")
        for platform, name in PLATFORMS.items()
        if platform in release.platforms and (reason := manifest.absent.get(platform))
    }
    return _rendered(
        channel,
        channel,
        release,
        manager,
        rehearsal=rehearsal,
        manifest=manifest,
        late=late,
        fixes=fixes,
        page=page_of(release.version),
    )


def text_of_transition(channel: str, release: Release, manager: Person, *, rehearsal: bool) -> str:
    """Return the draft that tells of the transition of a branch, for ``discuss`` or ``committers``.

    Raises `CheckError` (``ANNOUNCE_LINK``).
    """
    newest = cycle().newest(release.day)
    return _rendered(release.kind, channel, release, manager, rehearsal=rehearsal, newest=newest)


def superseded_text(old_version: Version | str, new_version: Version | str) -> str:
    """Return the note for the page of a release that a newer one of its series replaces."""
    old, new = (Version.parse(str(one)) for one in (old_version, new_version))
    template = _TEMPLATES.get_template("superseded.md.j2")
    return template.render(old=old, new=new, page=page_of(new))


def notice(release: Release, people: tuple[Person, ...], subject: str, body: str) -> str:
    """Return a message to the experts, with the time of the release in each one's zone."""
    template = _TEMPLATES.get_template("notice.md.j2")
    return template.render(release=release, people=people, subject=subject, body=body)


def build_request(release: Release, **values: object) -> str:
    """Return what experts are asked to build; `relkit.steps.requests` has the values."""
    return _TEMPLATES.get_template("build.md.j2").render(release=release, **values).rstrip()


def page_of(version: Version) -> str:
    """Return the address of a release's page."""
    return f"{SITE}downloads/release/python-{str(version).replace('.', '')}/"


def security_fixes(news: str) -> tuple[str, ...]:
    """Return what a release's NEWS says under *Security*: issue and text, a line each.

    Markup of roles is left out, and so are addresses: a text must not lead where NEWS happens to.
    """
    found = []
    for chunk in CHUNK.split(news):
        fields = dict(FIELD.findall(chunk))
        if fields.get("section", "").strip() != "Security":
            continue
        numbers = [f"{ISSUES[name]}-{fields[name].strip()}" for name in ISSUES if name in fields]
        words = LINK.sub("(see there)", " ".join(FIELD.sub("", chunk).split()))
        found.append(
            f"{' '.join(numbers) or 'no issue'}: " + ROLE.sub(r"\1", words).replace("`!", "`")
        )
    return tuple(found)


def _rendered(
    template: str,
    channel: str,
    release: Release,
    manager: Person,
    *,
    rehearsal: bool,
    manifest: Manifest | None = None,
    **values: object,
) -> str:
    text = _TEMPLATES.get_template(f"{template}.md.j2").render(
        channel=channel,
        release=release,
        version=release.version,
        facts=release.facts,
        dates=cycle().series.get(release.version.series),
        manager=manager.name,
        rehearsal=rehearsal,
        manifest=manifest,
        **values,
    )
    require_links(channel, text, TRUSTED)
    files = {one.name: one.sha256 for one in manifest.subjects} if manifest else {}
    require_digests(channel, text, files, manifest.commit if manifest else "")
    return text
