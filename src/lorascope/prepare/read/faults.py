"""What is wrong with a whole file -> one DataError that says what, where, why and what to do."""

import re
from pathlib import Path

from lorascope.errors import DataError, explain, nearest

_ARCHIVES = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "unzip it, or save the sheet as CSV"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it and give the file inside"),
    b"Rar!": ("a rar archive", "unpack it and give the file inside"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"\x89HDF": ("an HDF5 file", "export the rows as JSON Lines or Parquet"),
    b"%PDF": ("a PDF document", "give the rows as JSON Lines or CSV"),
    b"\x80\x04\x95": ("a Python pickle", "pickles can run code and are never opened: save it as JSON Lines"),
    b"PARE": ("an encrypted Parquet file", "decrypt it first"),
    b"Obj\x01": ("an Avro file", "convert it to Parquet or JSON Lines"),
    b"ORC": ("an ORC file", "convert it to Parquet or JSON Lines"),
}
_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)\b", re.IGNORECASE)


def unreadable(path: Path, problem: str, why: str, fix: str = "give a file with rows") -> DataError:
    """Explain why a file cannot be read as a whole."""
    return DataError(explain(f'"{path.name}" cannot be read: {problem}', where=str(path), why=why, fix=fix))


def missing(path: Path) -> DataError:
    """Explain that there is no such file, with the nearest name there is."""
    folder = path.parent
    is_there = _is_folder(folder)
    names = [entry.name for entry in folder.iterdir()] if is_there else []
    return DataError(
        explain(
            f'data file "{path}" does not exist',
            where=str(path),
            why="there is no such file" if is_there else f'the folder "{folder}" does not exist either',
            fix=nearest(path.name, names) if is_there else "check the path",
        )
    )


def refuse_what_is_no_data(path: Path, head: bytes) -> None:
    """Stop where the first bytes of a file show that something else lies in place of the data.

    Raises:
        DataError: It is empty, a git-lfs pointer, a web page, an archive or another format.
    """
    if not head:
        raise unreadable(path, "it is empty", "there is nothing to learn from an empty file")
    if head.startswith(b"version https://git-lfs"):
        raise unreadable(
            path, "it is a git-lfs pointer, not the data", "git stores the rows elsewhere", "git lfs pull"
        )
    if _PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        raise unreadable(
            path,
            "it is a web page (HTML or XML), not the data",
            "a download link that asks for a login, or shows the file, was saved in place of the file",
            "download it again by its raw link: on the Hub that has /resolve/ in place of /blob/",
        )
    if head[257:262] == b"ustar":
        raise unreadable(
            path,
            "it is a tar archive",
            "rows are read from files, not archives",
            "unpack it and give the folder",
        )
    for magic, (what, fix) in _ARCHIVES.items():
        if head.startswith(magic):
            raise unreadable(path, f"it is {what}", "rows are not read from this format", fix)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, as when somebody gives rows where a file name belongs
        return False
