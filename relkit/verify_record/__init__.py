"""Verify the sealed record of a run: offline, and without trusting whoever made it.

Nothing of the record is executed or rendered, nothing is configured by it, and nothing is written.
Whom to trust is said by the caller: the digest of the policy, and the trust root.
"""

from relkit.verify_record.reading import Pack, read_record
from relkit.verify_record.verdict import Property, Verdict
from relkit.verify_record.verifying import verify

__all__ = ["Pack", "Property", "Verdict", "read_record", "verify"]
