"""The editors: each makes one known change to a tree, and declares nothing about where.

What an editor may touch is declared by the step that uses it, and compared by the adapter that
runs it. An editor gets the version and the time of the release as inputs; the clock takes no part
in what it writes.
"""

from __future__ import annotations

from relkit.adapters.edit_branch import start_branch
from relkit.adapters.edit_news import blurb_for, release_news
from relkit.adapters.edit_next import resolve_next
from relkit.adapters.edit_numbers import set_post_version, set_version
from relkit.adapters.edit_series import begin_next_series
from relkit.adapters.edit_tools import Editor, Tools
from relkit.adapters.edit_topics import regenerate_topics
from relkit.adapters.edit_whatsnew import set_release_date

__all__ = ["EDITORS", "Editor", "Tools", "blurb_for"]

EDITORS: dict[str, Editor] = {
    "news": release_news,
    "pydoc-topics": regenerate_topics,
    "version-numbers": set_version,
    "next-versions": resolve_next,
    "post-version": set_post_version,
    "whatsnew-date": set_release_date,
    "branch-start": start_branch,
    "next-series": begin_next_series,
}
"""The editors by the names that steps use."""
