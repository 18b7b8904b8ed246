"""What an upload of a release costs, beside `scp` of the same files to the same server.

    python benchmarks/upload.py [--files 40] [--megabytes 150] [--rounds 3]

A server of this machine is started. relkit's figure is all that the step *Upload to staging* calls:
it looks what is there, sends, compares the digests that the server computes, names the files, and
then reads all of them back by digest once more. `scp` only sends. Both in turn, the median counts.
Nothing here is a test.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from services.sshd import missing, sshd
from ssh_helpers import Stand

LIMIT = 0.5
"""Of scp's speed."""
FOLDER = "ftp/python/3.15.0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--megabytes", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if reason := missing():
        print(f"nothing was measured: {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="relkit-bench-") as name:
        compare(Path(name), options.files, options.megabytes, options.rounds)


def compare(folder: Path, count: int, megabytes: int, rounds: int) -> None:
    source = folder / "files"
    source.mkdir()
    files = dict(made(source, number, (megabytes << 20) // count) for number in range(count))
    with sshd(folder / "sshd") as server:
        stand = Stand(server, folder)
        ours, theirs, seconds = [], [], []
        for _ in range(rounds):
            theirs.append(timed(lambda: copied(stand, source)))
            ours.append(timed(lambda: uploaded(stand, source, files)))
            seconds.append(timed(lambda: uploaded(stand, source, files, again=True)))
        stand.close()
    our, their = statistics.median(ours), statistics.median(theirs)
    print(f"{count} files, {megabytes} MB        seconds")
    print(f"scp                     {their:8.2f}")
    print(f"relkit, with digests    {our:8.2f}")
    print(f"relkit, nothing to send {statistics.median(seconds):8.2f}")
    print(f"of scp's speed          {their / our:8.2f}   (limit: {LIMIT})")


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def made(folder: Path, number: int, size: int) -> tuple[str, str]:
    data = os.urandom(size)
    (folder / f"file-{number}").write_bytes(data)
    return f"{FOLDER}/file-{number}", hashlib.sha256(data).hexdigest()


def copied(stand: Stand, source: Path) -> None:
    """Send the files by scp, with the same key and pinned host, and OpenSSH's own defaults."""
    server, target = stand.server, stand.fresh() / "staging"
    known = stand.pinned().config.with_name("known_hosts")
    options = [f"UserKnownHostsFile={known}", f"IdentityFile={server.me.identity}"]
    words = [word for option in options for word in ("-o", option)]
    names = sorted(map(str, source.iterdir()))
    where = f"{server.me.name}@{server.host}:{target}/"
    command = ["scp", "-q", "-F", os.devnull, *words, "-P", str(server.port), *names, where]
    subprocess.run(command, check=True)


LAST: list[Path] = []


def uploaded(stand: Stand, source: Path, files: dict[str, str], *, again: bool = False) -> None:
    """Do what the step does: ask, send, ask; `again` in the folder of before."""
    root = LAST[-1] if again else stand.fresh()
    LAST.append(root)
    server = stand.downloads(root, source)
    server.staged_all(paths=tuple(files))
    server.stage_all(files=files)
    found = server.staged_all(paths=tuple(files))
    if files != {path: one and one.artifact.sha256 for path, one in found.items()}:
        raise SystemExit("the server has other files than were sent")


if __name__ == "__main__":
    main()
