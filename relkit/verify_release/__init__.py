"""Compare a published release with its manifest: by reading alone, signed in nowhere.

A release is never done: files, rows and links can be changed after it by whoever may. What was
added, changed or removed is named, thing by thing. Nothing is kept between two looks, so a
scheduler can run it as often as it likes.
"""

from relkit.verify_release.given import Given, from_files, from_record, nothing_given
from relkit.verify_release.report import Change, Line, Report
from relkit.verify_release.verifying import Sites, verify_release

__all__ = [
    "Change",
    "Given",
    "Line",
    "Report",
    "Sites",
    "from_files",
    "from_record",
    "nothing_given",
    "verify_release",
]
