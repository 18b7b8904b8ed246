"""An export depends on the commit alone: not on who makes it, where, when, or from which clone.

Each variation is tried by the real command in a process of its own. Two tests have many of them at
once and are quick; that each does nothing by itself, and what must change something does, takes a
minute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from exports import ARCHIVES, TAG, Exported, export
from sources import git, sample

slow = pytest.mark.slow
HOSTILE = "* -text eol=crlf ident export-subst filter=evil\nLib/** export-ignore\n"
"""Attributes that would change or leave out every file."""
STRANGER = "nobody"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the sample repository, a bare one."""
    return sample(tmp_path_factory.mktemp("sample"))[0]


@pytest.fixture(scope="module")
def plain(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return the export with nothing strange around."""
    found = export(released, tmp_path_factory.mktemp("plain") / "out")
    assert found.status == 0, found.said
    assert {*ARCHIVES} <= found.files.keys()
    return found


def assert_same(found: Exported, plain: Exported) -> None:
    assert (found.status, found.files) == (0, plain.files), found.said


def assert_same_source(found: Exported, plain: Exported) -> None:
    """Archives and SBOMs are the same; provenance tells of a commit and of tools."""
    assert (found.status, found.files.keys()) == (0, plain.files.keys()), found.said
    assert source_of(found) == source_of(plain)
    assert len(source_of(plain)) == len(ARCHIVES) * 2


def source_of(exported: Exported) -> dict[str, str]:
    ends = tuple(f"{name}{end}" for name in ARCHIVES for end in ("", ".spdx.json"))
    return {name: digest for name, digest in exported.files.items() if name.endswith(ends)}


# --- what is around the process ---------------------------------------------------------------


def settings(canary: Path) -> str:
    """Return hostile git configuration; whatever it runs leaves the canary."""
    command = f"touch '{canary}'; false"
    return f"""
[core]
    autocrlf = true
    eol = crlf
    abbrev = 4
    attributesFile = {canary.parent / "attributes"}
    fsmonitor = "{command}"
    hooksPath = {canary.parent}
    bigFileThreshold = 1
    quotePath = true
    sshCommand = "{command}"
    pager = "{command}"
    useReplaceRefs = true
[tar]
    umask = 0777
[tar "tar.xz"]
    command = "{command}"
[tar "tgz"]
    command = "{command}"
[tar "tar.gz"]
    command = "{command}"
[filter "evil"]
    smudge = "{command}"
    clean = "{command}"
    required = true
[diff]
    external = "{command}"
[log]
    showSignature = true
    date = relative
    mailmap = true
[gpg]
    program = "{command}"
[format]
    pretty = "%H is evil"
[i18n]
    logOutputEncoding = UTF-16
[color]
    ui = always
[extensions]
    worktreeConfig = true
[uploadpack]
    packObjectsHook = "{command}"
"""


def home(folder: Path) -> dict[str, str]:
    """Make a home folder whose settings are hostile; return the environment that names it."""
    (folder / ".config/git").mkdir(parents=True)
    for name in folder / "attributes", folder / ".config/git/attributes":
        name.write_text(HOSTILE)
    (folder / ".gitconfig").write_text(settings(folder / "canary"))
    (folder / ".config/git/config").write_text(settings(folder / "canary"))
    return {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / ".config")}


def git_variables(folder: Path) -> dict[str, str]:
    """Return what git itself reads from the environment, all of it misleading."""
    places = ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR", "EXEC_PATH")
    return {
        **{f"GIT_{name}": str(folder / "nowhere") for name in places},
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(folder),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.autocrlf",
        "GIT_CONFIG_VALUE_0": "true",
        "GIT_CONFIG_PARAMETERS": "'core.eol'='crlf'",
        "GIT_CONFIG_GLOBAL": str(folder / ".gitconfig"),
        "GIT_CONFIG_SYSTEM": str(folder / ".gitconfig"),
        "GIT_ATTR_SOURCE": "HEAD",
        "GIT_CEILING_DIRECTORIES": "/",
        "GIT_DEFAULT_HASH": "sha256",
        "GIT_GRAFT_FILE": str(folder / "attributes"),
        "GIT_LITERAL_PATHSPECS": "0",
        "GIT_ICASE_PATHSPECS": "1",
        "GIT_NAMESPACE": "elsewhere",
        "GIT_REPLACE_REF_BASE": "refs/heads/",
        "GIT_SHALLOW_FILE": str(folder / "attributes"),
        "GIT_TRACE": "1",
    }


TOOLS = {
    "GZIP": "--rsyncable",
    "POSIXLY_CORRECT": "1",
    "SOURCE_DATE_EPOCH": "1",
    "TAR_OPTIONS": "--owner=7 --sort=inode",
    "XZ_DEFAULTS": "--threads=0",
    "XZ_OPT": "-1",
    "PYTHONHASHSEED": "17",
    "PYTHONOPTIMIZE": "2",
    "PYTHONDEVMODE": "1",
    "COLUMNS": "7",
    "NO_COLOR": "1",
}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LANGUAGE": "tr:de"}


def latin(folder: Path) -> dict[str, str]:
    """Make a locale of Turkish in ISO 8859-9, where an upper case i is no I."""
    name = "tr_TR.ISO-8859-9"
    target = folder / name
    command = ["localedef", "-c", "-i", "tr_TR", "-f", "ISO-8859-9", str(target)]
    if not shutil.which("localedef") or not Path("/usr/share/i18n/locales/tr_TR").exists():
        pytest.skip("no Turkish locale can be made here")
    subprocess.run(command, capture_output=True, check=False)  # warnings have a status, too
    assert target.is_dir()
    return {"LC_ALL": name, "LOCPATH": str(folder), "PYTHONUTF8": "0"}


SURROUNDINGS: dict[str, Callable[[Path], dict[str, str]]] = {
    "nothing": lambda _: {},
    "ASCII": lambda _: ASCII,
    "Turkish": latin,
    "a locale that is not there": lambda _: {"LC_ALL": "xx_YY.UTF-8"},
    "east": lambda _: {"TZ": "Pacific/Kiritimati"},
    "west": lambda _: {"TZ": "<-12>+12:34"},
    "a home with settings": home,
    "git's variables": lambda folder: git_variables(folder) | home(folder),
    "the tools' variables": lambda _: TOOLS,
    "another folder for temporary files": lambda folder: {"TMPDIR": str(folder)},
}


@slow
@pytest.mark.parametrize("around", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_the_environment_changes_nothing(
    around: Callable[[Path], dict[str, str]], released: Path, plain: Exported, tmp_path: Path
) -> None:
    (tmp_path / "a home").mkdir()
    environment = around(tmp_path / "a home")
    assert_same(export(released, tmp_path / "out", environment=environment), plain)
    assert not (tmp_path / "a home" / "canary").exists()


@slow
@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077, 0o137])
def test_the_umask_changes_nothing(
    umask: int, released: Path, plain: Exported, tmp_path: Path
) -> None:
    if umask & 0o700 and os.geteuid():
        pytest.skip("only root can look into a folder it has no right to")
    assert_same(export(released, tmp_path / "out", umask=umask), plain)


def test_nothing_around_the_process_changes_a_byte(
    released: Path, plain: Exported, tmp_path: Path
) -> None:
    folder = tmp_path / "a home"
    folder.mkdir()
    environment = git_variables(folder) | home(folder) | TOOLS | ASCII | {"TZ": "America/St_Johns"}
    found = export(
        *(released, tmp_path / "out"),
        environment=environment,
        umask=0o077,
        cwd=Path("/"),
    )
    assert_same(found, plain)
    assert not (folder / "canary").exists()


# --- the clone ----------------------------------------------------------------------------------


def clone(repository: Path, folder: Path, *options: str) -> Path:
    """Clone the sample in some way."""
    url = repository.as_uri()
    git(folder, "clone", "--quiet", *options, url, "clone")
    return folder / "clone"


def leave_files(tree: Path) -> None:
    """Leave in a clone what lies about in those of people: ignored, stale, changed, staged."""
    (tree / ".gitignore").write_text("*\n")
    (tree / "Lib/__pycache__").mkdir(parents=True)
    names = ("Lib/abacus.pyc", "Lib/__pycache__/x.pyc", "Misc/NEWS", ".hgtags", "python", "Lib/é")
    for name in names:
        (tree / name).write_bytes(b"stale\r\n")
    (tree / "Misc/NEWS.d/next").mkdir(exist_ok=True)
    (tree / "README.rst").write_text("changed\n")
    (tree / "staged.py").write_text("staged\n")
    git(tree, "add", "--force", "staged.py")


def mislead(repository: Path, folder: Path) -> None:
    """Give a repository hostile settings, attributes, grafts and replacements."""
    place = repository / git(repository, "rev-parse", "--git-common-dir")
    (place / "info").mkdir(exist_ok=True)
    (place / "info/attributes").write_text(HOSTILE)
    who = ("-c", "user.name=x", "-c", "user.email=x@x.invalid")
    git(repository, *who, "tag", "--annotate", "--message=x", "other", "main")
    pairs = [
        (f"{TAG}^{{commit}}", "main"),
        (TAG, "other"),
        (f"{TAG}:README.rst", "main:LICENSE"),
        (f"{TAG}^{{tree}}", "main^{tree}"),
    ]
    ids = [[git(repository, "rev-parse", word) for word in pair] for pair in pairs]
    (place / "refs/replace").mkdir()
    for replaced, other in ids:
        (place / "refs/replace" / replaced).write_text(f"{other}\n")
    (place / "info/grafts").write_text(f"{ids[0][0]}\n")
    (folder / "attributes").write_text(HOSTILE)
    with (place / "config").open("a") as file:
        file.write(settings(folder / "canary"))


def name_falsely(place: Path) -> None:
    """Give branches and remotes names that are taken for the tag's by whoever is not exact."""
    main = (place / "refs/heads/main").read_text() if (place / "refs/heads/main").exists() else ""
    main = main or git(place, "rev-parse", "main") + "\n"
    for name in ("heads/TAG", "heads/tags/TAG", "heads/refs/tags/TAG", "remotes/TAG"):
        path = place / "refs" / name.replace("TAG", TAG)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(main)
    (place / TAG).write_text(main)


def full_clone(released: Path, folder: Path) -> Path:
    tree = clone(released, folder)
    leave_files(tree)
    return tree


def misled(released: Path, folder: Path) -> Path:
    tree = clone(released, folder)
    mislead(tree, folder)
    return tree


def packed(released: Path, folder: Path) -> Path:
    tree = clone(released, folder, "--bare")
    git(tree, "pack-refs", "--all", "--prune")
    git(tree, "repack", "-a", "-d", "-q")
    assert not list((tree / "refs").rglob("v*"))
    return tree


def loose(released: Path, folder: Path) -> Path:
    tree = clone(released, folder, "--bare")
    for pack in (tree / "objects/pack").glob("*.pack"):
        data = pack.read_bytes()
        for part in tree.glob(f"objects/pack/{pack.stem}.*"):
            part.unlink()
        git(tree, "unpack-objects", "-q", given=data)
    return tree


def borrowing(released: Path, folder: Path) -> Path:
    git(folder, "clone", "--quiet", "--shared", str(released), "clone")
    return folder / "clone"


def borrowing_twice(released: Path, folder: Path) -> Path:
    first = borrowing(released, folder)
    git(folder, "clone", "--quiet", "--shared", str(first), "second")
    return folder / "second"


def worktree(released: Path, folder: Path) -> Path:
    tree = clone(released, folder)
    git(tree, "worktree", "add", "--quiet", "--detach", str(folder / "tree"), "main")
    leave_files(folder / "tree")
    return folder / "tree"


def misled_worktree(released: Path, folder: Path) -> Path:
    tree = worktree(released, folder)
    mislead(folder / "clone", folder)
    return tree


def shallow(released: Path, folder: Path) -> Path:
    return clone(released, folder, "--depth=1", f"--branch={TAG}")


def odd_path(released: Path, folder: Path) -> Path:
    (folder / "-é $(touch x)\n'\"").mkdir()
    return clone(released, folder / "-é $(touch x)\n'\"")


def inside(released: Path, folder: Path) -> Path:
    return full_clone(released, folder) / "Lib"


def through_a_link(released: Path, folder: Path) -> Path:
    (folder / "link").symlink_to(released)
    return folder / "link"


def in_another_one(released: Path, folder: Path) -> Path:
    git(folder, "init", "--quiet")
    return clone(released, folder, "--bare")


def separated(released: Path, folder: Path) -> Path:
    return clone(released, folder, f"--separate-git-dir={folder / 'store'}")


CLONES: dict[str, Callable[[Path, Path], Path]] = {
    "full of leftovers": full_clone,
    "misleading": misled,
    "packed": packed,
    "loose": loose,
    "borrowing its objects": borrowing,
    "borrowing from one that borrows": borrowing_twice,
    "a worktree": worktree,
    "a worktree of a misleading one": misled_worktree,
    "shallow": shallow,
    "an odd path": odd_path,
    "a folder inside": inside,
    "through a link": through_a_link,
    "inside another repository": in_another_one,
    "with its store elsewhere": separated,
}


@slow
@pytest.mark.parametrize("make", CLONES.values(), ids=CLONES)
def test_the_clone_changes_nothing(
    make: Callable[[Path, Path], Path], released: Path, plain: Exported, tmp_path: Path
) -> None:
    repository = make(released, tmp_path)
    assert_same(export(repository, tmp_path / "out"), plain)
    assert not (tmp_path / "canary").exists()


def test_a_misleading_worktree_full_of_leftovers_changes_nothing(
    released: Path, plain: Exported, tmp_path: Path
) -> None:
    repository = misled_worktree(released, tmp_path)
    assert_same(export(repository, tmp_path / "out"), plain)
    assert not (tmp_path / "canary").exists()


@slow
@pytest.mark.parametrize("where", [".", "../clone", "Lib/.."])
def test_a_relative_path_is_one_from_here(
    where: str, released: Path, plain: Exported, tmp_path: Path
) -> None:
    tree = clone(released, tmp_path)
    assert_same(export(where, tmp_path / "out", cwd=tree), plain)


# --- other users --------------------------------------------------------------------------------


@pytest.fixture
def public(released: Path) -> Iterator[Path]:
    """Return a folder that everybody can read, with a copy of the repository."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(released, folder / "sample.git")
        yield folder


def own_to(path: Path, user: str) -> None:
    for one in (path, *path.rglob("*")):
        shutil.chown(one, user)


def foreign_python(folder: Path) -> Path:
    """Return a Python that another user can run, with what this one has installed."""
    bare = Path("/usr/bin/python3")
    site = Path(sysconfig.get_path("purelib"))
    (folder / "env/bin").mkdir(parents=True)
    (folder / "env/pyvenv.cfg").write_text(f"home = {bare.parent}\n")
    (folder / "env/bin/python").symlink_to(bare)
    (folder / "env" / site.parent.relative_to(sys.prefix)).mkdir(parents=True)
    (folder / "env" / site.relative_to(sys.prefix)).symlink_to(site)
    (folder / "env/share").symlink_to(Path(sys.prefix) / "share")
    command = [
        str(folder / "env/bin/python"),
        "-c",
        "import relkit.cli, sys; print(sys.version_info)",
    ]
    try:
        done = subprocess.run(
            command, user=STRANGER, cwd="/", capture_output=True, text=True, check=True, env={}
        )
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no Python here that another user can run with our packages")
    if done.stdout.strip() != str(sys.version_info):
        assert done.stdout
    return folder / "env/bin/python"


@pytest.fixture
def as_root() -> None:
    if os.geteuid():
        pytest.skip("only root can be somebody else")


@pytest.mark.usefixtures("as_root")
def test_a_repository_of_somebody_else_changes_nothing(
    public: Path, plain: Exported, tmp_path: Path
) -> None:
    own_to(public / "sample.git", STRANGER)
    assert_same(export(public / "sample.git", tmp_path / "out"), plain)


@slow
@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("owner", ["root", STRANGER])
def test_another_user_makes_the_same(owner: str, public: Path, plain: Exported) -> None:
    python = foreign_python(public)
    own_to(public / "sample.git", owner)
    (public / "theirs").mkdir()
    own_to(public / "theirs", STRANGER)
    found = export(
        *(public / "sample.git", public / "theirs/out"),
        python=python,
        user=STRANGER,
        cwd=Path("/"),
        environment={"HOME": "/nonexistent", "TMPDIR": str(public / "theirs")},
    )
    assert_same_source(found, plain)


@slow
@pytest.mark.usefixtures("as_root")
def test_a_repository_that_is_read_only_changes_nothing(
    public: Path, plain: Exported, tmp_path: Path
) -> None:
    command = ["unshare", "--mount", "sh", "-c", 'mount --bind -o ro "$0" "$0" && exec "$@"']
    wrapper = [*command, str(public / "sample.git")]
    probe = subprocess.run([*wrapper, "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("nothing can be mounted read-only here")
    before = sorted(public.rglob("*"))
    assert_same(export(public / "sample.git", tmp_path / "out", wrapper=wrapper), plain)
    assert sorted(public.rglob("*")) == before


# --- refused ------------------------------------------------------------------------------------


def partial(released: Path, folder: Path) -> Path:
    git(released, "config", "uploadpack.allowFilter", "true")
    return clone(released, folder, "--bare", "--filter=blob:none", "--no-local")


def too_shallow(released: Path, folder: Path) -> Path:
    return clone(released, folder, "--depth=1", "--branch=main", "--no-tags")


def with_a_hole(released: Path, folder: Path) -> Path:
    tree = loose(released, folder)
    blob = git(tree, "rev-parse", f"{TAG}:README.rst")
    (tree / "objects" / blob[:2] / blob[2:]).unlink()
    return tree


def with_other_bytes(released: Path, folder: Path) -> Path:
    """Return a repository in which a file has other bytes under its true id."""
    tree = loose(released, folder)
    true, other = (git(tree, "rev-parse", f"{TAG}:{name}") for name in ("README.rst", "LICENSE"))
    path = tree / "objects" / true[:2] / true[2:]
    path.chmod(0o644)
    shutil.copyfile(tree / "objects" / other[:2] / other[2:], path)
    return tree


def with_a_cut_file(released: Path, folder: Path) -> Path:
    tree = loose(released, folder)
    blob = git(tree, "rev-parse", f"{TAG}:README.rst")
    path = tree / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20])
    return tree


def of_other_ids(_: Path, folder: Path) -> Path:
    git(folder, "init", "--quiet", "--object-format=sha256", "--initial-branch=main", "clone")
    tree = folder / "clone"
    (tree / "README.rst").write_text("x\n")
    git(tree, "add", "README.rst")
    who = ("-c", "user.name=x", "-c", "user.email=x@x.invalid")
    git(tree, *who, "commit", "--quiet", "--message=x")
    git(tree, "tag", TAG)
    return tree


def none_at_all(_: Path, folder: Path) -> Path:
    return folder


REFUSED: dict[str, Callable[[Path, Path], Path]] = {
    "without the files": partial,
    "without the tag": too_shallow,
    "with a hole": with_a_hole,
    "with other bytes": with_other_bytes,
    "with a cut file": with_a_cut_file,
    "of SHA-256 ids": of_other_ids,
    "no repository": none_at_all,
}


@slow
@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_a_clone_that_lacks_something_is_refused(
    make: Callable[[Path, Path], Path], released: Path, tmp_path: Path
) -> None:
    found = export(make(released, tmp_path), tmp_path / "out")
    assert found.status not in {0, 3}, found.said
    assert found.files == {}
    assert "What to do: " in found.said
    assert "Traceback" not in found.said


# --- what must change something -----------------------------------------------------------------

README = "Misc/README"


def changed(
    released: Path,
    folder: Path,
    *,
    seconds: int = 0,
    more: bytes = b"",
    mode: str = "100644",
    file: str = README,
) -> Path:
    """Return a repository with the tag on another commit: later, or with one file changed."""
    tree = clone(released, folder, "--bare")
    time = int(git(tree, "show", "--no-patch", "--format=%ct", f"{TAG}^{{commit}}")) + seconds
    data = more
    if file == README:
        data = git(tree, "cat-file", "blob", f"{TAG}:{file}").encode() + b"\n" + more
    stream = b"commit refs/heads/new\ncommitter B <b@b.invalid> %d -0700\ndata 2\nxy" % time
    stream += f"from {TAG}^{{commit}}\nM {mode} inline {file}\n".encode()
    git(tree, "fast-import", "--quiet", given=stream + b"data %d\n%s\n" % (len(data), data))
    git(tree, "tag", "--force", TAG, "new")
    return tree


@slow
def test_another_commit_with_the_same_time_and_files_changes_nothing(
    released: Path, plain: Exported, tmp_path: Path
) -> None:
    repository = changed(released, tmp_path)
    assert_same_source(export(repository, tmp_path / "out"), plain)


LETTER = "\N{LATIN SMALL LETTER E WITH ACUTE}"
ODD_FILES = {
    f"Lib/{LETTER}.txt": b"crlf by attributes, or not\n",
    f"Misc/NEWS.d/next/Library/2026-01-01-00-00-00.gh-issue-100001.{LETTER}.rst": b"Odd.\n",
}


@slow
@pytest.mark.parametrize("name", ODD_FILES, ids=["a file", "an entry"])
def test_names_beyond_ascii_are_the_same_in_every_locale(
    name: str, released: Path, tmp_path: Path
) -> None:
    repository = changed(released, tmp_path, file=name, more=ODD_FILES[name])
    plain = export(repository, tmp_path / "plain")
    assert plain.status == 0, plain.said
    for number, environment in enumerate(({"LC_ALL": "C.UTF-8"}, ASCII)):
        assert_same(export(repository, tmp_path / str(number), environment=environment), plain)


DIFFERENT: dict[str, dict[str, int | str | bytes]] = {
    "a second later": {"seconds": 1},
    "a byte more": {"more": b"x"},
    "an executable": {"mode": "100755"},
    "an empty file": {"file": "Lib/zzz"},
}


@slow
@pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_in_the_commit_changes_every_file(
    change: dict[str, int | str | bytes], released: Path, plain: Exported, tmp_path: Path
) -> None:
    repository = changed(released, tmp_path, **change)  # type: ignore[arg-type]
    found = export(repository, tmp_path / "out")
    assert found.status == 0, found.said
    assert found.files.keys() == plain.files.keys()
    same = {name for name, digest in found.files.items() if plain.files[name] == digest}
    assert not same


@slow
def test_attributes_of_the_commit_that_depend_on_the_clone_are_refused(
    released: Path, tmp_path: Path
) -> None:
    """``$Format:%h$`` is longer in a clone with more objects."""
    for number, line in enumerate((b"* export-subst\n", b"Lib/abacus.py export-ignore\n")):
        folder = tmp_path / str(number)
        folder.mkdir()
        repository = changed(released, folder, file=".gitattributes", more=line)
        stream = b"commit refs/heads/new\ncommitter B <b@b.invalid> 1700000000 +0000\ndata 2\nxy"
        stream += b"from refs/heads/new^0\nM 644 inline Lib/a.py\ndata 12\n$Format:%h$\n\n"
        git(repository, "fast-import", "--quiet", given=stream)
        git(repository, "tag", "--force", TAG, "new")
        found = export(repository, folder / "out")
        assert (found.status, found.files) == (1, {}), found.said
        assert "TREE_MISMATCH" in found.said or "What to do: " in found.said
