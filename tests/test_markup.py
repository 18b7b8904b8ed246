"""HTML of others is read in one pass, and in a record only what is whole passes at all."""

from __future__ import annotations

import html
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.adapters.posts import plain
from relkit.errors import VerificationError
from relkit.markup import Tag, parts
from relkit.plain import require_plain
from relkit.verify_release.links import links

ADDRESS = "https://www.python.org/downloads/release/python-3150a1/"
HOSTILE = [
    *("<!--", "<!", "<!-", "<?", "<![", "<![CDATA[", "<!--><![", "<!doctype ", "<", "</"),
    *("<a ", "<a/", "</a", "<a b=", '<a b="', "<a b='", "<a b=\" '", "<a b=' \" ' ", "<p><a "),
    *("<a>", "<a href=x>", "<style>", "<p><style>", "<script>", "<title>", "</style", "&", "&#"),
    *("-", "--", "&#1", "=", '"', "<a =", "<a = ", "<a  ", "<template>"),
]
SECONDS = 120
"""The parser of the standard library takes hours for what stands here."""


@pytest.mark.parametrize("one", HOSTILE)
def test_what_somebody_made_to_be_slow_is_read_in_one_pass(one: str) -> None:
    page = one * (200_000 // len(one))
    begun = time.monotonic()
    plain(page)
    links(page.encode())
    for text in (page, page + ">", page + "-->"):
        try:
            require_plain(text)
        except VerificationError as error:
            assert error.code == "FORBIDDEN_MIME"  # noqa: PT017 (or it is nothing but words)
    assert time.monotonic() - begun < SECONDS


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(WORDS, WORDS, st.booleans()), max_size=5))
def test_words_and_attributes_come_back_as_they_were_written(
    found: list[tuple[str, str, bool]],
) -> None:
    page = "".join(
        f'<P Title="{html.escape(title)}">{html.escape(words)}</p >{"<!-- <b> -->" * hidden}'
        for words, title, hidden in found
    )
    wanted: list[Tag | str] = []
    for words, title, _ in found:
        wanted += [Tag("p", ends=False, attributes=(("title", title),)), words]
        wanted += [Tag("p", ends=True, attributes=())]
    assert list(parts(page)) == wanted


@given(st.text("<>!-/ab='\"& \n", max_size=60))
def test_whatever_stands_there_is_read_to_its_end(page: str) -> None:
    assert all(isinstance(one, Tag) or one for one in parts(f"{page}x>"))


def test_no_words_are_seen_that_a_browser_hides() -> None:
    hidden = [
        f"<!-- {ADDRESS} --!>",
        f"<script>if (a<b) '{ADDRESS}' </SCRIPT x>",
        f"<style>{ADDRESS}</style>",
        f"<template>a<template>b</template>{ADDRESS}</template>",
        f"<noscript><a href={ADDRESS}>x</a></noscript>",
        f"<p title='{ADDRESS}'>",
        f"<!doctype {ADDRESS}>",
        f"<?{ADDRESS}>",
    ]
    for one in hidden:
        assert plain(f"before {one}after").split() == ["before", "after"], one
    for one in ("<!--", "<script>", "<style>", "<p title='", "<!", "<?", "</p "):
        assert plain(f"before {one} {ADDRESS}") == "before", one
    assert plain(f"<!-->{ADDRESS}") == ADDRESS  # which ends where it begins


def test_a_link_shows_where_it_leads_and_no_other_address() -> None:
    assert plain(f'<a href="{ADDRESS}">the page</a>') == f"the page ({ADDRESS})"
    assert plain(f"<a href=https://evil.example/>{ADDRESS}</a>") == "(https://evil.example/)"
    assert plain("<a href=/one>a<a href=/two>b</a>") == "a (/one)b (/two)"
    assert plain("<a href=/first href=/second>a</a>") == "a (/first)"
    assert plain("<p>a<p>b<br>c") == "a\nb\nc"


def test_a_number_of_a_character_that_has_no_end_is_none() -> None:
    number = f"&#{'1' * 5000};"
    assert plain(f"<p>{number}</p>") == number
    assert links(f"<a href='{number}'>".encode()) == ([number], "")
    with pytest.raises(VerificationError, match="FORBIDDEN_MIME"):
        require_plain(f"<p>{number}</p>")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "<p",
            "</p",
            "<p title='",
            '<p title=">',
            "<!-- ",
            "<!--> -->",
            "<!---> -->",
            "<!-- --!>",
        ),
        *("<![CDATA[x]]>", "<!foo>", "<?x>", "<!", "</", "a<b", "<!doctype html"),
    ],
)
def test_what_does_not_end_or_is_read_in_two_ways_is_in_no_record(text: str) -> None:
    with pytest.raises(VerificationError, match="FORBIDDEN_MIME"):
        require_plain(f"<p>x</p>{text}")


def test_whole_markup_passes_into_a_record() -> None:
    require_plain(
        "<!DOCTYPE html>\n<!-- a - b -- c ---><p title=\"a > 'b'\">1 < 2 <3 & so on</p>"
        "<style>p > b { color: red }</style><br/><a href='#x' >x</a>"
    )
