import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lorascope.errors import RunError
from lorascope.run import commit
from lorascope.run.commit import (
    MANIFEST,
    committed_folder,
    folder_problem,
    is_leftover,
    make_folder,
    remove_folder,
    remove_leftovers,
    set_aside,
    sha256_of,
    verify_folder,
    write_json,
)


def write_folder(target: Path, text: str = "one", *, replace: bool = False) -> None:
    with committed_folder(target, replace=replace) as folder:
        (folder / "a.txt").write_text(text)
        (folder / "deep").mkdir()
        (folder / "deep" / "b.bin").write_bytes(b"\x00" * 10)


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_committed_folder_has_its_files_and_a_manifest_of_them(tmp_path: Path) -> None:
    write_folder(tmp_path / "made")
    assert names_in(tmp_path) == ["made", "made/MANIFEST.json", "made/a.txt", "made/deep", "made/deep/b.bin"]
    manifest = json.loads((tmp_path / "made" / MANIFEST).read_text())
    # printf one | sha256sum; head -c 10 /dev/zero | sha256sum
    assert manifest["files"] == {
        "a.txt": {"bytes": 3, "sha256": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"},
        "deep/b.bin": {
            "bytes": 10,
            "sha256": "01d448afd928065458cf670b60f5a594d735af0172c8d67f22a81680132681ca",
        },
    }
    verify_folder(tmp_path / "made")


def test_nothing_is_to_be_seen_under_the_name_until_the_end(tmp_path: Path) -> None:
    with committed_folder(tmp_path / "made") as folder:
        (folder / "a.txt").write_text("one")
        assert not (tmp_path / "made").exists()
        assert folder.name.startswith(".")
    assert (tmp_path / "made" / "a.txt").read_text() == "one"


def test_a_failure_leaves_no_folder_and_no_rubbish(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), committed_folder(tmp_path / "made") as folder:
        (folder / "a.txt").write_text("one")
        1 / 0  # noqa: B018
    assert names_in(tmp_path) == []


def test_a_failure_while_replacing_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    write_folder(tmp_path / "made")
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in names_in(tmp_path)}
    with pytest.raises(KeyboardInterrupt), committed_folder(tmp_path / "made", replace=True) as folder:
        (folder / "a.txt").write_text("two")
        raise KeyboardInterrupt
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in names_in(tmp_path)} == before
    verify_folder(tmp_path / "made")


def test_an_existing_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    write_folder(tmp_path / "made")
    with pytest.raises(RunError, match="exists already"):
        write_folder(tmp_path / "made", "two")
    assert (tmp_path / "made" / "a.txt").read_text() == "one"
    with committed_folder(tmp_path / "made", replace=True) as folder:
        (folder / "c.txt").write_text("three")
    assert names_in(tmp_path / "made") == [MANIFEST, "c.txt"]
    assert names_in(tmp_path) == ["made", f"made/{MANIFEST}", "made/c.txt"]


@pytest.mark.parametrize("damage", ["delete", "cut", "flip", "empty", "swap"])
@pytest.mark.parametrize("name", ["a.txt", "deep/b.bin"])
def test_every_damage_to_a_file_is_found_and_named(damage: str, name: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "made")
    path = tmp_path / "made" / name
    data = path.read_bytes()
    changed = {
        "cut": data[:-1],
        "flip": bytes([data[0] ^ 1]) + data[1:],
        "empty": b"",
        "swap": b"x" * len(data),
    }
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(changed[damage])
    assert str(folder_problem(tmp_path / "made")).startswith(name)
    with pytest.raises(RunError, match=name):
        verify_folder(tmp_path / "made")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"files": []}',
        '{"files": {"a.txt": {}}}',
        '{"files": {"a.txt": 3}}',
        '{"files": {}}',
        '{"schema": 2, "files": {}}',
    ],
)
def test_a_manifest_that_is_missing_or_damaged_is_a_finding_and_no_crash(
    text: str | None, tmp_path: Path
) -> None:
    write_folder(tmp_path / "made")
    if text is None:
        (tmp_path / "made" / MANIFEST).unlink()
    else:
        (tmp_path / "made" / MANIFEST).write_text(text)
    assert folder_problem(tmp_path / "made") == f"{MANIFEST} is missing or unreadable"


def test_a_file_that_must_be_there_is_missed_whatever_the_manifest_says(tmp_path: Path) -> None:
    write_folder(tmp_path / "made")
    (tmp_path / "made" / MANIFEST).write_text('{"schema": 1, "files": {}}')
    assert folder_problem(tmp_path / "made", needs=("a.txt",)) == f"a.txt is missing in {MANIFEST}"


def test_a_file_that_cannot_be_read_is_a_finding_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "made")

    def failing(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(commit, "sha256_of", failing)
    assert folder_problem(tmp_path / "made") == "a.txt cannot be read: Input/output error"


def test_a_copied_folder_still_verifies(tmp_path: Path) -> None:
    import shutil

    write_folder(tmp_path / "made")
    shutil.copytree(tmp_path / "made", tmp_path / "copy")
    verify_folder(tmp_path / "copy")


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)])
def test_modes_follow_the_umask_whatever_the_writer_chose(
    mask: int, file_mode: int, folder_mode: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        with committed_folder(tmp_path / "made") as folder:
            (folder / "a.safetensors").write_bytes(b"1")
            (folder / "a.safetensors").chmod(0o600)  # as safetensors does
        write_json(tmp_path / "one.json", {})
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names_in(tmp_path)}
    assert modes == {
        "made": folder_mode,
        f"made/{MANIFEST}": file_mode,
        "made/a.safetensors": file_mode,
        "one.json": file_mode,
    }


def test_a_rename_that_the_disk_refuses_leaves_the_old_folder_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "made")
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name.startswith(".tmp-"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(RunError, match="Input/output error"):
        write_folder(tmp_path / "made", "two", replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "a.txt").read_text() == "one"


def test_a_removed_folder_loses_its_name_before_its_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "made")
    monkeypatch.setattr(commit.shutil, "rmtree", lambda *given, **named: None)  # killed at its first file
    remove_folder(tmp_path / "made")
    assert not (tmp_path / "made").exists()
    monkeypatch.undo()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", ["I/O error: No space left on device (os error 28)", "(os error 28)"])
def test_a_full_disk_that_a_rust_library_tells_in_words_is_our_error_too(said: str, tmp_path: Path) -> None:
    # safetensors raises SafetensorError and tokenizers a bare Exception, both with the number in the text.
    with (
        pytest.raises(RunError, match="cannot be written: No space left on device"),
        committed_folder(tmp_path / "made"),
    ):
        raise Exception(said)
    assert names_in(tmp_path) == []


def dead_process_id() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_leftovers_of_a_dead_process_go_and_nothing_else(tmp_path: Path) -> None:
    write_folder(tmp_path / "made")
    pid = dead_process_id()
    (tmp_path / f".tmp-made-{pid}-0123abcd").mkdir()
    (tmp_path / f".tmp-made-{pid}-0123abcd" / "a.txt").write_text("half")
    (tmp_path / f".tmp-one.json-{pid}-0123abcd").write_text("{")
    (tmp_path / f".old-made-{pid}-0123abcd").mkdir()
    theirs = [".tmp-mine", ".old-notes", ".hidden", f".tmp-other-{os.getppid()}-0123abcd"]
    for name in theirs:
        (tmp_path / name).mkdir()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*theirs, "made"])
    verify_folder(tmp_path / "made")
    remove_leftovers(tmp_path / "nowhere")


def test_a_kill_between_the_two_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "made")
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if path.name.startswith((".tmp-", ".old-")):  # nor does who is dead put the old one back
            raise SystemExit(137)
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        patched.setattr(commit.shutil, "rmtree", lambda *given, **named: None)  # a kill cleans nothing up
        with pytest.raises(SystemExit):
            write_folder(tmp_path / "made", "two", replace=True)
    assert not (tmp_path / "made").exists()
    assert all(is_leftover(path) for path in tmp_path.iterdir())
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "a.txt").read_text() == "one"
    verify_folder(tmp_path / "made")


KILLED = """
import os, sys
from pathlib import Path
from lorascope.run.commit import committed_folder, write_json

def write(folder, text):
    with committed_folder(folder / "made", replace=True) as staged:
        (staged / "a.txt").write_text(text)
    write_json(folder / "one.json", {"value": text})

def dying(function):
    def call(*given, **named):
        global left
        left -= 1
        if left == 0:
            os._exit(9)
        return function(*given, **named)
    return call

step, ended = 0, 9
while ended == 9:
    step += 1
    folder = Path(sys.argv[1], str(step))
    folder.mkdir()
    write(folder, "one")
    child = os.fork()
    if child == 0:
        left = step
        for name in ("fsync", "rename", "replace", "mkdir", "chmod", "open"):
            setattr(os, name, dying(getattr(os, name)))
        write(folder, "two")
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(ended)
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_and_no_mixture(tmp_path: Path) -> None:
    # The nth child dies without warning at its nth call into the operating system; the last one lives.
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True)
    states = []
    for step in range(1, 1 + len(list(tmp_path.iterdir()))):
        folder = tmp_path / str(step)
        remove_leftovers(folder)
        verify_folder(folder / "made")
        assert sorted(path.name for path in folder.iterdir()) == ["made", "one.json"]
        value = json.loads((folder / "one.json").read_text())["value"]
        states.append(((folder / "made" / "a.txt").read_text(), value))
    assert len(states) > 10
    assert states == sorted(states)  # "one" sorts before "two": no later kill loses what an earlier one kept
    assert set(states) == {("one", "one"), ("two", "one"), ("two", "two")}


FULL_DISK = """
import resource, sys
from pathlib import Path
from lorascope.errors import RunError
from lorascope.run.commit import committed_folder, write_json
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
def by_json(): write_json(folder / "one.json", {"value": "x" * 2000})
def by_body():
    with committed_folder(folder / "made", replace=True) as staged:
        (staged / "a.txt").write_text("x" * 2000)
def by_manifest():
    with committed_folder(folder / "made", replace=True) as staged:
        for number in range(20):
            (staged / f"{number}.txt").write_text("x")
try:
    {"json": by_json, "body": by_body, "manifest": by_manifest}[sys.argv[2]]()
except RunError as error:
    print(error.message)
"""


@pytest.mark.parametrize("writer", ["json", "body", "manifest"])
def test_a_full_disk_is_our_error_and_keeps_what_was_there(writer: str, tmp_path: Path) -> None:
    # A limit of 1,000 bytes a file stands in for a full disk: the write fails with EFBIG in place of ENOSPC.
    write_folder(tmp_path / "made")
    write_json(tmp_path / "one.json", {"value": "one"})
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), writer], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "cannot be written: File too large" in done.stdout
    assert "nothing that was there before has changed" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "one.json"]
    verify_folder(tmp_path / "made")
    assert json.loads((tmp_path / "one.json").read_text()) == {"value": "one"}


def test_an_error_that_is_not_the_disks_keeps_its_kind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), committed_folder(tmp_path / "made"):
        (tmp_path / "nowhere").read_text()


def test_a_place_that_cannot_be_written_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written: (File exists|Not a directory)"):
        write_folder(tmp_path / "file" / "made")
    with pytest.raises(RunError, match="cannot be written: (File exists|Not a directory)"):
        write_json(tmp_path / "file" / "one.json", {})


def test_a_number_that_is_not_finite_never_reaches_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "one.json", {"loss": float("nan")})
    assert names_in(tmp_path) == []


def test_json_keeps_every_character(tmp_path: Path) -> None:
    value = {"text": "a\u2028\u0000\U0001f600 \u00e9"}
    write_json(tmp_path / "one.json", value)
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8")) == value


def test_a_large_file_is_hashed_whole(tmp_path: Path) -> None:
    import hashlib

    data = os.urandom(3_000_001)
    (tmp_path / "big").write_bytes(data)
    assert sha256_of(tmp_path / "big") == hashlib.sha256(data).hexdigest()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_name_appears_only_once_its_content_and_its_folders_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A kill cannot show this: what was written lives on in the page cache, and a power cut takes it.
    flushed: dict[str, str] = {}
    renamed: list[str] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def flushing(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed[str(path)] = content(path)
        fsync(descriptor)

    def renaming(move: object, source: Path, target: Path) -> None:
        for path in [Path(source), *Path(source).rglob("*")]:
            assert flushed.get(str(path)) == content(path), f"{path} was not flushed as it is now"
        flushed.pop(str(tmp_path), None)
        renamed.append(Path(target).name)
        move(source, target)  # type: ignore[operator]

    def content(path: Path) -> str:
        return sha256_of(path) if path.is_file() else " ".join(sorted(child.name for child in path.iterdir()))

    write_folder(tmp_path / "made")
    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "rename", lambda source, target: renaming(rename, source, target))
    monkeypatch.setattr(os, "replace", lambda source, target: renaming(replace, source, target))
    write_folder(tmp_path / "more")
    assert flushed[str(tmp_path)] == "made more"
    write_json(tmp_path / "one.json", {})
    assert flushed[str(tmp_path)] == "made more one.json"
    assert renamed == ["more", "one.json"]


def test_a_new_folder_and_those_above_it_are_put_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(commit, "flush", flushed.append)
    make_folder(tmp_path / "a" / "b" / "c")
    assert flushed == [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    make_folder(tmp_path / "a" / "b" / "c")
    assert len(flushed) == 3


def test_a_folder_set_aside_makes_room_and_goes_once_the_new_one_stands(tmp_path: Path) -> None:
    write_folder(tmp_path / "made", "old")
    with set_aside(tmp_path / "made"):
        assert not (tmp_path / "made").exists()
        write_folder(tmp_path / "made", "new")
    assert (tmp_path / "made" / "a.txt").read_text() == "new" and os.listdir(tmp_path) == ["made"]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_set_aside_is_back_as_it_was_after_an_exception(tmp_path: Path, there: bool) -> None:
    if there:
        write_folder(tmp_path / "made", "old")
    before = names_in(tmp_path)
    with pytest.raises(KeyboardInterrupt), set_aside(tmp_path / "made"):
        write_folder(tmp_path / "made", "new")
        raise KeyboardInterrupt
    assert names_in(tmp_path) == before
    assert not there or (tmp_path / "made" / "a.txt").read_text() == "old"
