"""The steps of a release, in order: PEP 101 itself. Importing this package declares them."""

from relkit.steps import build, finish, lifecycle, prepare, publish, sign, source

__all__ = ["build", "finish", "lifecycle", "prepare", "publish", "sign", "source"]
