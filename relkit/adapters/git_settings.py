"""What git is told in each command, whatever is configured on a machine or in a repository."""

from __future__ import annotations

NOTHING = "/dev/null"
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")
OPTIONS = {
    # No program that the repository could name.
    "core.hooksPath": NOTHING,
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "false",
    "core.pager": "cat",
    "core.editor": "false",
    "diff.external": "",
    "gpg.format": "openpgp",
    "gpg.program": "gpg",
    "gpg.ssh.program": "false",
    "gpg.x509.program": "false",
    "protocol.ext.allow": "never",
    # No other place than the one that is named.
    "http.followRedirects": "false",
    # Nothing that was not asked for.
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "push.gpgSign": "false",
    "push.followTags": "false",
    "push.recurseSubmodules": "no",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "receive.autogc": "false",
    # What others put there costs no memory: longer files go from the line to the disk in pieces.
    "core.bigFileThreshold": "32m",
    # The same bytes whatever the machine is set to.
    "core.attributesFile": NOTHING,
    "core.excludesFile": NOTHING,
    "core.autocrlf": "false",
    "core.quotePath": "true",
    "core.untrackedCache": "false",
    "diff.renames": "false",
    "diff.noprefix": "false",
    "diff.mnemonicPrefix": "false",
    "i18n.commitEncoding": "UTF-8",
    "log.showSignature": "false",
    "advice.detachedHead": "false",
    "init.defaultBranch": "main",
}
ENVIRONMENT = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "TZ": "UTC",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": NOTHING,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": NOTHING,
}
