from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relkit.words import in_words, part_in_words

names = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
plain = (
    st.none() | st.booleans() | st.integers() | st.from_regex(r"[a-z0-9/.]{1,8}", fullmatch=True)
)
data = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"locked": True, "rules": ["a", "b"]}, "locked: yes; rules: a, b"),
        ({"locked": False, "rules": []}, "locked: no; rules: none"),
        ({"name": "v3", "commit": "1f"}, "v3 (commit: 1f)"),
        ({"name": "v3"}, "v3"),
        ({"file": {"name": "x", "size": 3}, "mode": "0644"}, "file: x (size: 3); mode: 0644"),
        ({"head": "1f", "was": {"locked": True}}, "head: 1f; was: (locked: yes)"),
        ([{"name": "git", "version": None}, 2], "git (version: none), 2"),
        ({"refs/tags/v3": None}, "refs/tags/v3: none"),
        ({"text": ""}, "text: empty"),
        ((), "none"),
        (None, "none"),
        (0, "0"),
        ("", ""),
        ("{'a': 1}\n", "{'a': 1}\n"),
    ],
)
def test_data_is_said_in_words(value: object, words: str) -> None:
    assert in_words(value) == words


@given(data)
def test_no_programming_words_are_left_and_nothing_is_lost(value: object) -> None:
    words = in_words(value)
    assert not re.search(r"[\[\]{}'\"]|True|False|None", words)
    assert all(one in words for one in _leaves(value))
    assert part_in_words(value)


def _leaves(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*(key for key in value if key != "name"), *_leaves(list(value.values()))]
    if isinstance(value, list):
        return [leaf for one in value for leaf in _leaves(one)]
    return [in_words(value)]
