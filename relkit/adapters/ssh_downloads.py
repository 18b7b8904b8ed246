"""The download server by SSH: a staging area and a public tree, on one file system of it.

Nothing is overwritten, nothing is public before it is placed, and whatever is said to be there
was read and hashed on the server just now. A call that was killed or cut off is made again and
goes on: it looks first, sends what is missing, and mends what was left half done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from relkit.adapters.downloads_shared import absent, changed, would_overwrite
from relkit.adapters.remote_files import Found, checked_root, digests, look, user_id
from relkit.adapters.remote_folders import RemoteTree, foreign
from relkit.adapters.sftp import SshPlace
from relkit.adapters.ssh_parts import arrived, drop
from relkit.adapters.ssh_process import Ran
from relkit.adapters.ssh_upload import Upload
from relkit.errors import WorldError
from relkit.telling import tell
from relkit.values import Artifact, StoredFile

TRIES = 3
"""How often a call goes on by itself without more having arrived, each time after a new look."""
AGAIN = {"SSH_UNREACHABLE", "REMOTE_FAILED"}
"""The connection broke; or another process has sent, named or removed the same in the meantime."""


class SshDownloads:
    """`relkit.ports.Downloads` on a server.

    `public` and `staging` are folders there, `source` is the folder here with the collected files
    and their signatures, `group` is the group of what is made (empty: as the folders have it), and
    `tell` is told what is being sent (``3 of 40: …``): the run that listens.
    """

    def __init__(
        self,
        ssh: SshPlace,
        *,
        public: str,
        staging: str,
        source: Path,
        group: str = "",
        tell: Callable[[str], None] = tell,
    ) -> None:
        self._ssh, self._source, self._group, self._tell = ssh, source, group, tell
        self._arrived = -1
        self._roots = {"public": checked_root(public), "staging": checked_root(staging)}

    def stage_all(self, *, files: dict[str, str]) -> None:
        """Upload collected files, digests by path; what is there is not sent again.

        Raises `WorldError`: ``WOULD_OVERWRITE``, ``DIGEST_CHANGED``, ``NOT_THERE``,
        ``NOT_A_FILE``, ``REMOTE_OWNER``, ``REMOTE_FULL``, ``REMOTE_FAILED``.
        """
        tree = self._staging
        targets = {tree.path(path): sha256 for path, sha256 in files.items()}
        tried, most = 0, -1
        while True:
            self._arrived = -1
            try:
                self._stage(tree, targets)
            except WorldError as error:
                tried = 1 if self._arrived > most else tried + 1
                most = max(most, self._arrived)
                if error.code not in AGAIN or tried >= TRIES:
                    raise
                self._tell("sending was broken off: looks what has arrived, and goes on")
            else:
                return

    def staged_all(self, *, paths: tuple[str, ...]) -> dict[str, StoredFile | None]:
        """Return several files in staging by path, hashed now."""
        return self._stored(self._staging, paths, {})

    def unstage_all(self, *, files: dict[str, str]) -> None:
        """Remove files from staging, each if it has its digest (else ``DIGEST_CHANGED``)."""
        tree = self._staging
        targets = {tree.path(path): sha256 for path, sha256 in files.items()}
        seen = self._look(tree, targets)
        found = digests(self._ssh, [path for path in targets if path in seen])
        for path, digest in found.items():
            if digest != targets[path]:
                raise changed(PurePosixPath(path), digest, targets[path])
        if found:
            tree.do([f"rm {path}" for path in found])
        self._drop_parts(tree, targets, seen)

    def place_all(self, *, files: dict[str, str]) -> None:
        """Move files from staging to the public tree, each in one step, never over another one.

        Whatever can be refused is refused before the first one moves. Raises as `stage_all` does.
        """
        staging, public = self._staging, self._public
        pairs = {public.path(path): staging.path(path) for path in files}
        wanted = dict(zip(pairs, files.values(), strict=True))
        there = self._look(public, pairs)
        waiting = self._look(staging, pairs.values())
        found = digests(
            self._ssh, [one for one in (*pairs, *pairs.values()) if one in there | waiting]
        )
        moves = []
        for target, staged in pairs.items():
            sha256 = wanted[target]
            if target in there and found[target] != sha256:
                raise would_overwrite(PurePosixPath(target).name, found[target], sha256)
            if target not in there:
                self._check_waiting(staged, found.get(staged), sha256)
                moves.append(target)
        public.fit_files({path: there[path] for path in pairs if path in there})
        staging.fit_files({pairs[path]: waiting[pairs[path]] for path in moves})
        public.open(pairs, there)
        self._move({target: pairs[target] for target in moves}, waiting, wanted)
        left = [staged for one, staged in pairs.items() if found.get(staged) == wanted[one]]
        if left := list(look(self._ssh, left)) if left else []:
            staging.do([f"rm {path}" for path in left])
        self._drop_parts(staging, {pairs[one]: wanted[one] for one in pairs}, waiting)

    def placed_all(self, *, paths: tuple[str, ...]) -> dict[str, StoredFile | None]:
        """Return several public files by path, hashed now; None where a move is half done."""
        staging = self._staging
        return self._stored(self._public, paths, {path: staging.path(path) for path in paths})

    # --- how --------------------------------------------------------------------------------------

    @cached_property
    def _uid(self) -> int:
        return user_id(self._ssh)

    @cached_property
    def _staging(self) -> RemoteTree:
        return RemoteTree(self._ssh, self._roots["staging"], uid=self._uid, group=self._group)

    @cached_property
    def _public(self) -> RemoteTree:
        return RemoteTree(self._ssh, self._roots["public"], uid=self._uid, group=self._group)

    def _look(self, tree: RemoteTree, paths: Iterable[str]) -> dict[str, Found]:
        """Return what there is of files and of the folders above; links on the way are refused."""
        files = list(paths)
        seen = look(self._ssh, [*files, *(one for path in files for one in tree.above(path))])
        tree.check(files, seen)
        return seen

    def _drop_parts(
        self, tree: RemoteTree, files: Mapping[str, str], seen: Mapping[str, Found]
    ) -> None:
        """Remove what calls that were killed have left of files, digests by path."""
        parts = arrived(self._ssh, tree, files, seen)
        drop(self._ssh, [part.path for some in parts.values() for part in some])

    def _stage(self, tree: RemoteTree, targets: dict[str, str]) -> None:
        seen = self._look(tree, targets)
        parts = arrived(self._ssh, tree, targets, seen)
        there = {path: seen[path] for path in targets if path in seen}
        for path, digest in digests(self._ssh, there).items():
            if digest != targets[path]:
                raise would_overwrite(PurePosixPath(path).name, digest, targets[path])
        sizes = [max((one.size for one in some), default=0) for some in parts.values()]
        self._arrived = sum(sizes) + sum(one.size for one in there.values())
        upload = Upload(self._ssh, tree, self._source, self._tell)
        files = [upload.sent(path, targets[path], parts) for path in targets if path not in there]
        tree.fit_files(there)
        drop(self._ssh, [part.path for path in there for part in parts[path]])
        tree.open(targets, seen)
        if files:
            upload.send(files)

    def _stored(
        self, tree: RemoteTree, paths: tuple[str, ...], other: dict[str, str]
    ) -> dict[str, StoredFile | None]:
        """Return files of a tree; None where it is the same file as its name in `other`."""
        full = {path: tree.path(path) for path in paths}
        seen = self._look(tree, full.values())
        twins = look(self._ssh, other.values()) if other else {}
        there = [path for path in paths if full[path] in seen]
        half = {path for path in there if other and _twin(seen[full[path]], twins.get(other[path]))}
        found = digests(self._ssh, [full[path] for path in there if path not in half])
        stored: dict[str, StoredFile | None] = dict.fromkeys(paths)
        for path in there:
            if path not in half:
                stored[path] = _stored_file(path, seen[full[path]], found[full[path]])
        return stored

    def _check_waiting(self, path: str, found: str | None, sha256: str) -> None:
        if found is None:
            raise absent(PurePosixPath(path).name, "staging")
        if found != sha256:
            raise changed(PurePosixPath(path), found, sha256)

    def _move(
        self, moves: dict[str, str], waiting: dict[str, Found], wanted: dict[str, str]
    ) -> None:
        """Give files their public names; what then lies there is the very file that was hashed."""
        if not moves:
            return
        done = self._ssh.sftp([f"-rename -l {staged} {target}" for target, staged in moves.items()])
        now = look(self._ssh, moves)
        self._public.check(moves, now)
        if missing := [target for target in moves if target not in now]:
            raise self._not_moved(missing[0], waiting[moves[missing[0]]], moves[missing[0]], done)
        others = [one for one, staged in moves.items() if not now[one].is_same(waiting[staged])]
        for target, found in digests(self._ssh, others).items():
            if found != wanted[target]:
                raise would_overwrite(PurePosixPath(target).name, found, wanted[target])
        self._public.fit_files({one: now[one] for one in others})

    def _not_moved(self, target: str, found: Found, staged: str, done: Ran) -> WorldError:
        """Return why a staged file did not get its public name, if it is the file's fault."""
        folder = str(PurePosixPath(target).parent)
        there = look(self._ssh, [folder]).get(folder)
        if there is not None and there.device != found.device:
            return WorldError(
                f"{staged} and {folder} are not on one file system; {target} was not placed",
                code="NOT_ONE_DISK",
                remedy="A file becomes public in one step only where it was staged on the same "
                "file system: have the staging folder moved there, and correct the world's file.",
            )
        if found.uid != self._uid and there is not None and there.uid == self._uid:
            return foreign(staged, found, f"{found.mode:04o}")
        return self._public.refused(target, done)


def _twin(one: Found, other: Found | None) -> bool:
    return other is not None and one.is_same(other)


def _stored_file(path: str, found: Found, sha256: str) -> StoredFile:
    artifact = Artifact(name=PurePosixPath(path).name, size=found.size, sha256=sha256)
    return StoredFile(artifact=artifact, mode=f"{found.mode:04o}")
