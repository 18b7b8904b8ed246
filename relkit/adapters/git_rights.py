"""Whether a server of git lets us push, without pushing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relkit.adapters.git_command import GitCommand
from relkit.adapters.git_names import check_url, nameless
from relkit.adapters.openssh import key_refusal
from relkit.errors import WorldError
from relkit.probe import Seen


def may_push(
    url: str, *, folder: Path, protocols: tuple[str, ...], environment: Mapping[str, str]
) -> Seen:
    """Have the program that takes pushes list its refs, and tell it that nothing comes.

    Who may not write to the repository is refused when it is called. `folder` is no repository.
    Raises `WorldError` (``PUSH_DENIED``).
    """
    check_url(url, protocols=protocols)
    if url.startswith("https:"):
        return Seen("read by HTTPS, which does not show it", "Push a branch of yours, delete it.")
    folder.mkdir(parents=True, exist_ok=True)
    git = GitCommand(folder, None, protocols, environment)
    answer = git.ask("ls-remote", "--upload-pack=git-receive-pack", "--end-of-options", url)
    if answer.status:
        raise key_refusal(url, answer.words, environment) or WorldError(
            f"{nameless(url)} takes nothing from us: {answer.words}",
            code="PUSH_DENIED",
            remedy="Have your account given the right to push there; see ssh -T for whose it is.",
        )
    return Seen(f"it would take a push; {len(answer.text.splitlines())} refs are there")
