"""The steps of a release, in order: PEP 101 itself. Importing this package declares them."""

from relkit.steps import amend, build, finish, late, lifecycle, prepare, publish, sign, source

__all__ = ["amend", "build", "finish", "late", "lifecycle", "prepare", "publish", "sign", "source"]
