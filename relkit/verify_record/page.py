"""The page of a record, read and never rendered: what it does, and what it says.

The page is made of the notebook's outputs and text, each spelled anew by what makes pages. Both are
compared in one plain spelling: lower case, no closing tags, no quotes, attributes in order.
"""

from __future__ import annotations

import html
import re
from functools import cache
from importlib.resources import files

from relkit import sealing
from relkit.errors import VerificationError
from relkit.plain import require_plain
from relkit.verify_record.case import Case
from relkit.verify_record.shown import Cell, cells_of, joined
from relkit.verify_record.strict import text_of
from relkit.verify_record.verdict import refuse

WORD = re.compile(r"\w+")
OPENING = re.compile(r"""<([a-z][a-z0-9]*)\s+([^<>\s="']+(?:="[^"]*"|='[^']*')?\s+[^<>]+?)\s*/?>""")
"""A tag with more than one attribute."""
ATTRIBUTE = re.compile(r"""([^\s=]+)(?:=("[^"]*"|'[^']*'))?""")
LEFT_OUT = re.compile(r"=\"\"|</[a-z0-9]+>|/(?=>)|[\"']|&quot;|&#x27;|&#39;")
SPACES = re.compile(r"(?:\s|&nbsp;)+")
AROUND = re.compile(r" ?([<>]) ?")
TAGS = re.compile(r"<[a-z!/?][^>]*>")
SAYING = re.compile(r"<[^>]* (title|alt|aria-label|style)=")
"""Attributes by which a tag says or hides something."""
TITLE, BODY = "{{ title }}", "{{ body | safe }}"


def page(case: Case) -> str:
    """Ask whether the page does and loads nothing, and says what the notebook says."""
    text = text_of(case.bytes(sealing.PAGE), sealing.PAGE)
    try:
        require_plain(text)
    except VerificationError as error:
        raise refuse(error.code, str(error)) from error
    if "default-src 'none'" not in text:
        raise refuse("FORBIDDEN_MIME", "the page does not forbid itself to load anything")
    case.require_same_relkit()
    cells = cells_of(case)
    rest = _without_outputs(_spelled(_body(case, text)), cells)
    _require_no_more(rest, " ".join(joined(cell["source"]) for cell in cells))
    case.unchecked.append("the order of the page's prose: its words are those of the notebook")
    return "no scripts, loads nothing, shows what the notebook shows"


def _body(case: Case, text: str) -> str:
    """Return what is in the frame that all pages have."""
    before, after = _frame()
    before = before.replace(TITLE, html.escape(f"Python {case.walk.release.name}: record"))
    if not (text.startswith(before) and text.endswith(after)):
        raise refuse("CLAIM_WITHOUT_EVENT", "the page has another head or style than relkit's")
    return text[len(before) : len(text) - len(after)]


@cache
def _frame() -> tuple[str, str]:
    template = files("relkit").joinpath("templates/record.html.j2").read_text(encoding="utf-8")
    before, _, after = template.removesuffix("\n").partition(BODY)
    return before, after


def _without_outputs(rest: str, cells: list[Cell]) -> str:
    """Return a page without the outputs, each of which must be in it, in order."""
    kept, place, known = [], 0, dict[str, str]()
    for cell in cells:
        for output in cell.get("outputs", []):
            told = joined(output["data"].get("text/html", ""))
            wanted = known.setdefault(told, "") or _spelled(told)  # the picture is there twice
            known[told] = wanted
            found = rest.find(wanted, place)
            if found < 0:
                why = f"the page does not show what cell {cell['id']} of the notebook displays"
                raise refuse("CLAIM_WITHOUT_EVENT", why)
            kept.append(rest[place:found])
            place = found + len(wanted)
    return "".join([*kept, rest[place:]])


def _require_no_more(rest: str, sources: str) -> None:
    """Refuse words that are neither in an output nor in the notebook's own text."""
    if "<style" in rest or SAYING.search(rest):
        raise refuse("CLAIM_WITHOUT_EVENT", "a tag of the page says or hides something by itself")
    known = set(WORD.findall(html.unescape(sources.lower()).replace("'", "").replace('"', "")))
    said = WORD.findall(html.unescape(TAGS.sub(" ", rest)))
    strange = [word for word in said if word not in known and word != "in" and not word.isdigit()]
    if strange:
        raise refuse("CLAIM_WITHOUT_EVENT", f"the page says {' '.join(strange[:8])!r} by itself")


def _spelled(text: str) -> str:
    """Return HTML in one spelling, however it was written."""
    told = LEFT_OUT.sub("", OPENING.sub(_opening, text.lower()))
    return AROUND.sub(r"\1", SPACES.sub(" ", told)).strip()


def _opening(tag: re.Match[str]) -> str:
    """Return a tag with its attributes in order of name; one without a value has an empty one."""
    found = sorted((name, value[1:-1]) for name, value in ATTRIBUTE.findall(tag[2]))
    return (
        f"<{' '.join([tag[1], *(f'{name}={value}' if value else name for name, value in found)])}>"
    )
