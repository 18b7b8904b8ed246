"""Statements: one form when written, and nothing ambiguous is read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigstore.dsse import Statement as SigstoreStatement

from relkit.building.statement import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NUMBER,
    STATEMENT_TYPE,
    Subject,
    read_statement,
    statement,
)
from relkit.errors import CheckError

TYPE = "https://example.org/said/v1"
A, B = Subject("a.tgz", "a" * 64), Subject("b.tar.xz", "b" * 64)
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=30)
KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(TEXTS, st.integers(-MAX_NUMBER, MAX_NUMBER), st.booleans()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def said(*subjects: Subject, **predicate: object) -> str:
    """Return a statement about some files, or about two."""
    return statement(subjects or (A, B), predicate_type=TYPE, predicate=predicate)


def changed(change: Callable[[dict[str, Any]], None]) -> str:
    """Return a statement in which one thing was changed."""
    data = json.loads(said(level="high"))
    change(data)
    return json.dumps(data)


def refusal(text: str) -> str:
    with pytest.raises(CheckError, match="STATEMENT_INVALID") as caught:
        read_statement(text, predicate_type=TYPE)
    return str(caught.value)


@given(
    digests=st.dictionaries(NAMES, st.binary(min_size=32, max_size=32), min_size=1, max_size=5),
    predicate=st.dictionaries(KEYS, VALUES, max_size=4),
)
def test_what_is_written_is_read_again(
    digests: dict[str, bytes], predicate: dict[str, Any]
) -> None:
    subjects = [Subject(name, digest.hex()) for name, digest in digests.items()]
    text = statement(subjects, predicate_type=TYPE, predicate=predicate)
    read = read_statement(text, predicate_type=TYPE)
    assert read.subjects == tuple(sorted(subjects, key=lambda one: one.name))
    assert read.predicate == predicate
    again = statement(read.subjects, predicate_type=TYPE, predicate=read.predicate)
    assert again == text


def test_equal_content_has_equal_bytes_in_any_order() -> None:
    assert said(A, B, one=1, two=(2,)) == said(B, A, two=[2], one=1)
    assert said(A, word="\u00fc\n\u0001\u2028") == (
        '{"_type":"https://in-toto.io/Statement/v1","predicate":{"word":"\u00fc\\n\\u0001\u2028"},'
        f'"predicateType":"{TYPE}","subject":[{{"digest":{{"sha256":"{A.sha256}"}},'
        '"name":"a.tgz"}]}\n'
    )


def test_the_layout_of_a_statement_of_others_does_not_matter() -> None:
    data = json.loads(said(B, A, level="high"))
    data["subject"].reverse()
    read = read_statement(json.dumps(data, indent=3), predicate_type=TYPE)
    assert (read.subjects, read.predicate) == ((A, B), {"level": "high"})


def test_the_stock_reader_of_sigstore_takes_it() -> None:
    text = said(A, word="\u00fc")
    read = SigstoreStatement(text.encode())
    assert read._contents == text.encode()
    inner = read._inner
    assert [(one.name, one.digest.root) for one in inner.subjects] == [
        ("a.tgz", {"sha256": A.sha256})
    ]
    assert (inner.type_, inner.predicate_type) == (STATEMENT_TYPE, TYPE)
    assert inner.predicate == {"word": "\u00fc"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: data.update(_type="https://in-toto.io/Statement/v0.1"), "_type"),
        (lambda data: data.update(predicateType="https://x.org/v2"), "predicateType"),
        (lambda data: data.update(predicateType=TYPE.upper()), "predicateType"),
        (lambda data: data.update(extra=1), "has the fields"),
        (lambda data: data.pop("predicate"), "has the fields"),
        (lambda data: data.update(predicate=[]), "predicate is"),
        (lambda data: data.update(subject=[]), "about no file"),
        (lambda data: data.update(subject={"name": "a"}), "about no file"),
        (lambda data: data.update(subject=["a.tgz"]), "a subject is"),
        (lambda data: data["subject"].append(data["subject"][0]), "two subjects named a.tgz"),
        (lambda data: data["subject"][1].update(name="a.tgz"), "two subjects named a.tgz"),
        (lambda data: data["subject"][0].update(name=""), "is named"),
        (lambda data: data["subject"][0].update(name="a\nb"), "is named"),
        (lambda data: data["subject"][0].update(name=7), "is named"),
        (lambda data: data["subject"][0].update(uri="file:a"), "a subject has the fields"),
        (lambda data: data["subject"][0].pop("digest"), "a subject has the fields"),
        (lambda data: data["subject"][0].update(digest="a" * 64), "digest is"),
        (lambda data: data["subject"][0].update(digest={"sha1": "a" * 40}), "digest has"),
        (lambda data: data["subject"][0]["digest"].update(md5="a"), "digest has"),
        (lambda data: data["subject"][0]["digest"].update(sha256="a" * 63), "SHA-256 of a.tgz"),
        (lambda data: data["subject"][0]["digest"].update(sha256="A" * 64), "SHA-256 of a.tgz"),
        (lambda data: data["subject"][0]["digest"].update(sha256=f"{'a' * 64}\n"), "SHA-256 of"),
        (lambda data: data["subject"][0]["digest"].update(sha256=7), "SHA-256 of a.tgz"),
        (lambda data: data["predicate"].update(share=0.5), "0.5 is neither"),
        (lambda data: data["predicate"].update(share=None), "None is neither"),
        (lambda data: data["predicate"].update(count=2**53), "is neither"),
        (lambda data: data["predicate"].update(word="\ud800"), "no Unicode"),
        (lambda data: data["predicate"].update({"\u00fc": 1}), "a field is named"),
    ],
)
def test_what_could_be_understood_in_two_ways_is_refused(
    change: Callable[[dict[str, Any]], None], what: str
) -> None:
    assert what in refusal(changed(change))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no JSON"),
        ("\ufeff{}", "no JSON"),
        ("[]", "not an object"),
        (said().replace("predicateType", "predicatetype"), "has the fields"),
        (said() + said(), "no JSON"),
        (said(a="1").replace('{"a":"1"}', '{"a":"1","a":"2"}'), "'a' is there twice"),
        (said()[:-2] + f',"predicateType":"{TYPE}"}}', "'predicateType' is there twice"),
        (said(a=1).replace('"a":1', '"a":NaN'), "NaN is no number"),
        (said(a=1).replace('"a":1', '"a":-Infinity'), "-Infinity is no number"),
        (said(a=1).replace('"a":1', f'"a":{"9" * 9999}'), "no JSON"),
        (said(a=1).replace('"a":1', f'"a":{"[" * 200_000}'), "no JSON"),
        (said(a=1).replace('"a":1', f'"a":{"[" * 60}{"]" * 60}'), f"deeper than {MAX_DEPTH}"),
        (said(a="\ud7ff").replace("\ud7ff", "\udfff"), "no JSON"),
        (said() + " " * MAX_BYTES, f"more than {MAX_BYTES} bytes"),
    ],
    ids=lambda value: ascii(value)[-30:],
)
def test_what_is_no_plain_json_is_refused(text: str, what: str) -> None:
    assert what in refusal(text)


@pytest.mark.parametrize(
    "subjects", [(), (A, A), (A, Subject("a.tgz", "c" * 64)), (Subject("a", "1"),)]
)
def test_nothing_is_written_that_would_not_be_read(subjects: tuple[Subject, ...]) -> None:
    with pytest.raises(CheckError, match="STATEMENT_INVALID"):
        statement(subjects, predicate_type=TYPE, predicate={})


@pytest.mark.parametrize("value", [0.5, None, 2**60, b"x", {1: "a"}, {"\u00fc": 1}, "\ud800", {1}])
def test_values_that_readers_change_are_not_written(value: object) -> None:
    with pytest.raises(CheckError, match="STATEMENT_INVALID"):
        said(A, value=value)


def test_a_statement_is_the_same_in_any_surroundings() -> None:
    script = (
        "import sys; from relkit.building.statement import Subject, statement;"
        "sys.stdout.buffer.write(statement([Subject('\\u00e9', 'a' * 64)], predicate_type='t',"
        "predicate={name: name for name in set('abcdefgh')}).encode())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"LC_ALL": locale, "PYTHONHASHSEED": seed, "PYTHONUTF8": "0"},
            capture_output=True,
            check=True,
        ).stdout
        for locale, seed in (("C", "1"), ("C.UTF-8", "2"))
    }
    assert len(texts) == 1
