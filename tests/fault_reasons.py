"""What the table of faults says of its ports and faults, and why some of them cannot meet."""

from __future__ import annotations

PORTS = {
    "Repository": "git over SSH to the fork and to upstream. The deed is the atomic push.",
    "Tracker": "GitHub's interface. The deed is the freeze of a branch.",
    "Buildbots": "The master's interface, read only. The deed is that what is green is seen green.",
    "Builders (GitHub)": "A workflow of GitHub Actions. The deed is one run, and its files here.",
    "Builders (Azure)": "A pipeline of Azure. The deed is one run, and its files here.",
    "Builders (Buildbot)": "A build that is forced. The deed is one request at the master.",
    "Builders (incoming)": "An expert's uploads, read over SSH. The deed is that they are here.",
    "Downloads": "The download server over SFTP. The deed is files staged or placed.",
    "Docs": "The docs server over SFTP. The deed is the docs, unpacked and shown.",
    "Website": "python.org's interface. The deed is each kind of write in turn.",
    "Public": "The site through its cache. The deed is that readers get what the origin has.",
    "Announcements (git)": "Commits to the PEPs' and the blog's repository. The deed is a commit.",
    "Announcements (posts)": "Pages people posted, read only. The deed is that a post is read.",
    "People (messages)": "Issues on GitHub. The deed is one message.",
    "People (meeting)": "Files in a git repository. The deed is a request or evidence in it.",
    "Signers (Sigstore)": "Certificate and log of Sigstore. The deed is the bundle beside a file.",
}
"""Every port of `World` that reaches another system, by each way it goes."""

MEANS = {
    "time-out before the effect": "no answer comes, and nothing was done.",
    "time-out after the effect": "no answer comes, and it was done.",
    "connection cut in an upload": "the line breaks when part of what is sent has arrived.",
    "401": "who asks is not known there; over SSH the key is not taken.",
    "403": "who asks may not do it; over SSH rights of a folder, or a protected branch.",
    "404": "what is asked for is not there: an address, a folder, a repository.",
    "409": "the other side says that something stands against it.",
    "429": "the other side wants to be asked later.",
    "500 without effect": "the other side failed and did nothing.",
    "500 with effect": "the other side did it, and failed then.",
    "HTML instead of JSON": "a page of something in between comes with status 200.",
    "truncated body": "the answer, or the file that is fetched, breaks off.",
    "wrong digest": "other bytes arrive, are kept there, or are given.",
    "stale cache for three cycles": "readings show what was there before, three times and more.",
    "another person's file in the way": "something of somebody else has the place or name.",
    "changed host key": "the server shows another SSH key than the pinned one.",
    "remote branch moved": "somebody else pushed since it was looked at, or in the moment of it.",
    "disk full on the server": "there is no room, or it ends in the middle.",
    "clock skew": "clocks differ, ahead or behind, or one jumps.",
}
"""What each fault of `faults.FAULTS` is."""

HTTPS = "it is reached by HTTPS, not by SSH"
SERVERS = "full disks are the service's own, and come as a 500"
ASKED = "every look asks the server itself; there is no cache in between"
UNTIMED = "no time is compared"
NO_HTTP = {
    "409": "a status of HTTP, not of SSH",
    "429": "a status of HTTP, not of SSH",
    "HTML instead of JSON": "neither is spoken over SSH",
}
NO_STATUS = {
    "500 without effect": "a status of HTTP; what fails over SSH is REMOTE_FAILED, as 403",
    "500 with effect": "a status of HTTP; an answer that is lost is the time-out after the effect",
}
BY_ID = "builds are asked for and checked by the full commit id"
GIT = {
    **NO_HTTP,
    "truncated body": "git checks what it fetches as a whole, and keeps nothing else",
    "wrong digest": "git names objects by their digest, and takes no others",
    "stale cache for three cycles": ASKED,
    "clock skew": "the times of commits are those of the release, and none is compared",
}
SERVER = {
    **NO_HTTP,
    **NO_STATUS,
    "stale cache for three cycles": ASKED,
    "remote branch moved": "there are no branches",
    "clock skew": UNTIMED,
}

CANNOT: dict[str, dict[str, str]] = {
    "Repository": {
        **GIT,
        "500 without effect": "a status of HTTP; a push that the server refuses is 403",
        "500 with effect": "a status of HTTP; it is the time-out after the effect",
        "another person's file in the way": "another ref in the way is a branch that moved",
    },
    "Tracker": {
        "wrong digest": "there are no files",
        "changed host key": HTTPS,
        "remote branch moved": "nothing of a branch is moved here; pushes are Repository's",
        "disk full on the server": SERVERS,
    },
    "Buildbots": {
        "connection cut in an upload": "nothing is sent, it is only read",
        "another person's file in the way": "nothing is put there",
        "changed host key": HTTPS,
        "remote branch moved": "results are asked for by the full commit id",
        "disk full on the server": SERVERS,
    },
    "Builders (GitHub)": {
        "another person's file in the way": "each run has artifacts of its own",
        "changed host key": HTTPS,
        "remote branch moved": BY_ID,
        "disk full on the server": SERVERS,
    },
    "Builders (Azure)": {
        "wrong digest": "Azure states none; a zip whose checksums do not fit is refused",
        "another person's file in the way": "each run has artifacts of its own",
        "changed host key": HTTPS,
        "remote branch moved": BY_ID,
        "disk full on the server": SERVERS,
    },
    "Builders (Buildbot)": {
        "another person's file in the way": "requests are told apart by the nonce of the run",
        "changed host key": HTTPS,
        "remote branch moved": BY_ID,
        "disk full on the server": SERVERS,
    },
    "Builders (incoming)": {
        **NO_HTTP,
        **NO_STATUS,
        "time-out after the effect": "nothing is written there: reading again is the same",
        "connection cut in an upload": "experts upload; what has not its digest is waited for",
        "stale cache for three cycles": ASKED,
        "remote branch moved": BY_ID,
        "disk full on the server": "experts upload; what has not its digest is waited for",
        "clock skew": UNTIMED,
    },
    "Downloads": {**SERVER, "truncated body": "files are sent and hashed there, none is fetched"},
    "Docs": {**SERVER, "truncated body": "the archive is sent and hashed there, none is fetched"},
    "Website": {
        "changed host key": HTTPS,
        "remote branch moved": "there are no branches",
        "disk full on the server": SERVERS,
    },
    "Public": {
        "connection cut in an upload": "nothing is uploaded",
        "another person's file in the way": "nothing is written",
        "changed host key": HTTPS,
        "remote branch moved": "there are no branches",
        "disk full on the server": "nothing is written",
    },
    "Announcements (git)": GIT,
    "Announcements (posts)": {
        "time-out after the effect": "nothing is written: there is no effect to be late for",
        "connection cut in an upload": "nothing is uploaded",
        "404": "it is an answer: there is no such post, and its link is asked for again",
        "500 with effect": "nothing is written: there is no effect",
        "HTML instead of JSON": "a post is a page; another one is POST_DIFFERS",
        "wrong digest": "no files; the text must name the version and lead to its page",
        "stale cache for three cycles": "a text that does not lead to the release is POST_DIFFERS",
        "another person's file in the way": "nothing is written",
        "changed host key": HTTPS,
        "remote branch moved": "there are no branches",
        "disk full on the server": "nothing is written",
        "clock skew": UNTIMED,
    },
    "People (messages)": {
        "wrong digest": "there are no files; a message is found by its nonce and its text",
        "changed host key": HTTPS,
        "remote branch moved": "there are no branches",
        "disk full on the server": SERVERS,
    },
    "People (meeting)": GIT,
    "Signers (Sigstore)": {
        "stale cache for three cycles": "nothing is read before it is signed; a bundle is verified",
        "changed host key": HTTPS,
        "remote branch moved": "there are no branches",
        "disk full on the server": SERVERS,
    },
}
"""Why a fault cannot happen at a port, or is another one there."""
