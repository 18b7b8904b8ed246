"""The two compressions of a source archive, side by side and with reproducible bytes.

``.tgz`` is made by GNU gzip (zlib and pigz give other bytes), ``.tar.xz`` by liblzma with preset 6
and CRC64 in one block, which takes one thread. The slower one alone decides how long it takes: so
nothing holds it up (`relkit.building.lane`), and it has memory in large pages.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from relkit.building.lane import Compressor, Lane, Packed
from relkit.errors import CheckError

GZIP = ("gzip", "-9", "--no-name")
XZ_PROGRAM = """
import lzma, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
packer = lzma.LZMACompressor(format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=6)
while piece := sys.stdin.buffer.read(1 << 18):
    sys.stdout.buffer.write(packer.compress(piece))
sys.stdout.buffer.write(packer.flush())
"""
"""Ctrl-C is its parent's business; without a parent it ends, and says nothing."""
XZ = (sys.executable, "-I", "-S", "-c", XZ_PROGRAM)
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Where glibc is 2.35 or newer and the kernel leaves it to programs, xz's 94 MB lie in large pages:
about a tenth less time, the same bytes. Elsewhere it says nothing to anybody."""
GZIP_AHEAD, XZ_AHEAD = 16, 144
"""How many pieces of about a megabyte may wait. For xz that is a whole tar of today: then gzip is
done early, and the archive can be read back while xz goes on. It bounds the memory, too."""
CONTROLS = {
    "gzip": "3edeed51b3891fded58d7ec34e8c2219aacbb5fc33782e3db252a1e7edbc1b06",
    "xz": "db90bc5f431ec08b4fb0125998b107871a40516e70b6030ef19d771212b03fee",
}
"""SHA-256 of `control_text` as packed by gzip 1.12 and liblzma 5.4.1."""


class Packing:
    """Both compressors at work: `tgz` and `xz` have their results when the files are whole."""

    def __init__(self, tgz: Lane, xz: Lane) -> None:
        self._lanes = tgz, xz
        self.tgz: Future[Packed] = tgz.packed
        self.xz: Future[Packed] = xz.packed

    def feed(self, pieces: Iterable[bytes]) -> Packed:
        """Give a whole tar, in pieces, to both; return what it was.

        xz goes on for a long time after this. Raises what a compressor has failed with.
        """
        seen, size = hashlib.sha256(), 0
        for piece in pieces:
            seen.update(piece)
            size += len(piece)
            for lane in self._lanes:
                lane.put(piece)
        for lane in self._lanes:
            lane.end()
        return Packed("tar", size, seen.hexdigest())


def _silent(_: int) -> None:
    pass


@contextmanager
def packing(*, tgz: Path, xz: Path, progress: Callable[[int], None] = _silent) -> Iterator[Packing]:
    """Start both compressors, each for a new file; `progress` hears how many bytes xz has taken.

    It is called in a thread of xz's. After an error the compressors are ended, and the files are
    incomplete: the caller throws them away.
    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        lanes: list[Lane] = []
        try:
            lanes.append(Lane(pool, _gzip(), tgz, waiting=GZIP_AHEAD))
            lanes.append(Lane(pool, _xz(), xz, waiting=XZ_AHEAD, progress=progress))
            yield Packing(*lanes)
        except BaseException:
            for lane in lanes:
                lane.halt()
            raise


def pack(pieces: Iterable[bytes], *, tgz: Path, xz: Path) -> tuple[Packed, Packed, Packed]:
    """Write a tar, given in pieces, to both files; neither may exist.

    Returns what was written for ``.tgz`` and ``.tar.xz``, and the tar itself as a third.
    """
    with packing(tgz=tgz, xz=xz) as both:
        tar = both.feed(pieces)
        return both.tgz.result(), both.xz.result(), tar


def _gzip() -> Compressor:
    return Compressor("gzip", GZIP)


def _xz() -> Compressor:
    return Compressor("xz", XZ, LARGE_PAGES)


# --- a control before anything is packed ------------------------------------------------------


def control_text() -> bytes:
    """Return 256 kB that look like source to a compressor and are the same everywhere."""
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(512)]
    lines = [f"    {digests[number * 7 % 512]} = {digests[number % 89]}" for number in range(1900)]
    return "\n".join(lines).encode()


def check_compressors() -> None:
    """Refuse compressors which give other bytes than those known (``TOOL_DRIFT``).

    Version numbers do not tell: a `gzip` on the path may be pigz, and zlib has several makers.
    """
    text = control_text()
    tools = _gzip(), _xz()
    with ThreadPoolExecutor(max_workers=len(tools)) as pool:
        packed = pool.map(lambda tool: tool.packed(text), tools)
    for tool, data in zip(tools, packed, strict=True):
        digest = hashlib.sha256(data).hexdigest()
        if digest != CONTROLS[tool.name]:
            raise CheckError(
                f"{tool.name} packs the control text to {digest}, not to {CONTROLS[tool.name]}",
                code="TOOL_DRIFT",
                remedy="Use GNU gzip and a Python linked with liblzma: other tools give archives "
                "which nobody can reproduce.",
            )
