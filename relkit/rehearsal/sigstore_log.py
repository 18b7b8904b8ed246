"""The transparency log of a loopback Sigstore instance: Rekor, version 1, with a real tree.

It refuses an entry whose signature does not match its certificate.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from relkit.rehearsal.sigstore_services import Key, Message, b64


class TransparencyLog:
    """Rekor, version 1: entries of kind `hashedrekord`, one line each in a file.

    Processes may share the file. A last line without its end was never promised to anybody: it
    is dropped.
    """

    def __init__(self, path: Path, key: Key, origin: str) -> None:
        self.key = key
        self._path = path
        self._origin = origin
        self._leaves: list[bytes] = []
        self._read_bytes = 0
        self._lock = threading.Lock()
        self.now: Callable[[], float] = time.time

    def size(self) -> int:
        """Return the number of entries."""
        with self._lock, self._path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            self._catch_up(file)
            return len(self._leaves)

    def add(self, proposed: Message) -> Message:
        """Log an entry and promise it with a signed time (SET)."""
        if (proposed["kind"], proposed["apiVersion"]) != ("hashedrekord", "0.0.1"):
            raise ValueError("only hashedrekord 0.0.1 is logged")
        signature, digest = proposed["spec"]["signature"], proposed["spec"]["data"]["hash"]
        if digest["algorithm"] != "sha256":
            raise ValueError("only SHA-256 is logged")
        certificate = signature["publicKey"]["content"]
        _check_signature(certificate, signature["content"], bytes.fromhex(digest["value"]))
        return self._entry(_canonical(proposed))

    def _entry(self, body: bytes) -> Message:
        leaves = self._append(body)
        index = len(leaves) - 1
        root, path = merkle(leaves, index)
        entry: Message = {"body": b64(body), "integratedTime": int(self.now())}
        entry |= {"logID": self.key.id.hex(), "logIndex": index}
        proof = {"logIndex": index, "treeSize": len(leaves), "rootHash": root.hex()}
        proof |= {
            "hashes": [node.hex() for node in path],
            "checkpoint": self._checkpoint(len(leaves), root),
        }
        promise = b64(self.key.sign(_canonical(entry)))
        entry["verification"] = {"signedEntryTimestamp": promise, "inclusionProof": proof}
        return {leaves[index].hex(): entry}

    def _append(self, body: bytes) -> list[bytes]:
        """Add a line and its leaf; return all leaves, the new one last."""
        with self._lock, self._path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._catch_up(file)
            file.truncate(self._read_bytes)
            file.write(body + b"\n")
            file.flush()
            os.fsync(file.fileno())
            self._catch_up(file)
            return self._leaves.copy()

    def _catch_up(self, file: BinaryIO) -> None:
        """Take in the whole lines written since the last look, by whomever."""
        if file.seek(0, os.SEEK_END) < self._read_bytes:
            raise OSError(f"{self._path.name} is shorter than it was")
        file.seek(self._read_bytes)
        *lines, _ = file.read().split(b"\n")
        self._leaves += [_sha256(b"\0" + line) for line in lines]
        self._read_bytes += sum(len(line) + 1 for line in lines)

    def _checkpoint(self, size: int, root: bytes) -> str:
        """Return a signed note on the tree; the key hint is the start of the log's id."""
        note = f"{self._origin} - 1\n{size}\n{b64(root)}\n"
        signature = b64(self.key.id[:4] + self.key.sign(note.encode()))
        return f"{note}\n\N{EM DASH} {self._origin} {signature}\n"


def merkle(leaves: list[bytes], index: int) -> tuple[bytes, list[bytes]]:
    """Return the root over leaf hashes and the path from leaf `index` up to it (RFC 6962, 2.1)."""
    if len(leaves) == 1:
        return leaves[0], []
    middle = 1 << ((len(leaves) - 1).bit_length() - 1)  # the largest power of two below
    left, left_path = merkle(leaves[:middle], index)
    right, right_path = merkle(leaves[middle:], index - middle)
    path = [*left_path, right] if index < middle else [*right_path, left]
    return _sha256(b"\1" + left + right), path


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _canonical(value: Message) -> bytes:
    """Encode as RFC 8785 does, which is this much for strings and integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check_signature(certificate: str, signature: str, digest: bytes) -> None:
    """Refuse an entry whose signature was not made with the key of its certificate."""
    key = x509.load_pem_x509_certificate(base64.b64decode(certificate)).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("only ECDSA signatures are logged")
    key.verify(base64.b64decode(signature), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
