"""What a second person can sign: an in-toto statement of what verification found.

The predicate is the Simple Verification Result of in-toto, ``svr/v0.2``: who verified, by which
policy, when, and the properties that hold; a property that is absent says nothing. Its field
`relkit_input` is an extension, as the framework allows: what the archives were compared with, and
what nobody looked at. The time is that of the verification: two statements of the same archives
are two statements. Whoever signs it is its word; unsigned it proves nothing.
https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version as installed_version

from relkit.building.archive import removals
from relkit.building.provenance import HOME
from relkit.building.statement import statement
from relkit.building.verify import Level, Verified
from relkit.release import Version

PREDICATE_TYPE = "https://in-toto.io/attestation/svr/v0.2"
VERIFIER = f"{HOME}/verifier/source/v1"
PROPERTIES: dict[Level, str] = {
    "content": "RELKIT_SOURCE_CONTENT_EQUAL",
    "payload": "RELKIT_SOURCE_PAYLOAD_EQUAL",
    "bitwise": "RELKIT_SOURCE_BITWISE_EQUAL",
}


def verdict(found: Verified, *, now: datetime, not_checked: Sequence[str] = ()) -> str:
    """Return the statement about the archives; `now` is UTC."""
    version = Version.parse(found.tag.name.removeprefix("v"))
    listed = "".join(f"{one.path}: {one.reason}\n" for one in removals(version))
    policy = {
        "name": f"what archives of {version.series} leave out",
        "digest": {"sha256": hashlib.sha256(listed.encode()).hexdigest()},
    }
    predicate = {
        "verifier": {"id": VERIFIER, "policies": [policy]},
        "timeCreated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "properties": [PROPERTIES[level] for level in found.reached],
        "relkit_input": {
            "tag": found.tag.name,
            "tagObject": found.tag.object,
            "commit": found.tag.commit,
            "treeSha256": found.report.tree_sha256,
            "payloadSha256": found.report.payload_sha256,
            "tar": found.tar,
            "blurb": found.blurb,
            "relkit": installed_version("relkit"),
            "notChecked": list(not_checked),
        },
    }
    return statement(found.files, predicate_type=PREDICATE_TYPE, predicate=predicate)
