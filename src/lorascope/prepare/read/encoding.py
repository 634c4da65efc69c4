"""Bytes of a text file -> what they are written in, where that is certain; and UTF-8 whatever they were.

Certain is a byte order mark, a text that is UTF-16 throughout, and one that is GB18030 throughout and reads
as Chinese. Anything else that is not UTF-8 is refused with the command that converts it: a wrong guess turns
letters into other letters, and nothing ever says so.
"""

import codecs
import io
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from lorascope.errors import DataError
from lorascope.prepare.read.compressed import SUFFIXES
from lorascope.prepare.read.faults import unreadable

_PIECE = 1 << 20
_HEAD = 64 << 10
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark its own begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHOWN = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
# The 24 most frequent characters of written Chinese, about a fifth of any text (Jun Da 2004, "Modern Chinese
# Character Frequency List"), and their traditional form. Korean, Japanese or French bytes that happen to be
# valid GB18030 or Big5 decode to rare characters instead.
_SIMPLIFIED = (
    "\u7684\u4e00\u662f\u4e0d\u4e86\u5728\u4eba\u6709\u6211\u4ed6\u8fd9\u4e2a\u4eec\u4e2d\u6765\u4e0a\u5927\u4e3a"
    "\u548c\u56fd\u5730\u5230\u4ee5\u8bf4"
)
_TRADITIONAL = (
    "\u7684\u4e00\u662f\u4e0d\u4e86\u5728\u4eba\u6709\u6211\u4ed6\u9019\u500b\u5011\u4e2d\u4f86\u4e0a\u5927\u70ba"
    "\u548c\u570b\u5730\u5230\u4ee5\u8aaa"
)
_COMMON = (  # encodings, with what makes up at least such a share of the characters beyond ASCII in them
    ("GB18030", f"[{_SIMPLIFIED}]", 0.08),
    ("BIG5", f"[{_TRADITIONAL}]", 0.08),
    ("SHIFT_JIS", "[\u3040-\u30ff]", 0.3),  # kana
    ("EUC-JP", "[\u3040-\u30ff]", 0.3),
    ("EUC-KR", "[\uac00-\ud7a3]", 0.8),  # hangul
    ("WINDOWS-1251", "[\u0400-\u04ff]{3,}", 0.7),  # words in Cyrillic, not single letters with an accent
    ("WINDOWS-1252", "[\u00c0-\u017f]", 0.5),
)
_FEWEST = 16

Opener = Callable[[], BinaryIO]


def encoding_of(path: Path, open_file: Opener) -> str:
    """Say what a text file is written in.

    Args:
        path: Its name, for messages.
        open_file: Opens its bytes, decompressed.

    Returns:
        "utf-8" also where nothing is certain: the bytes that are not UTF-8 are then found where they stand.

    Raises:
        DataError: It begins as UTF-16 or UTF-32 and does not stay so.
    """
    with open_file() as file:
        head = file.read(_HEAD)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            if encoding != "utf-8" and _read_through(open_file, encoding) is None:
                raise unreadable(
                    path,
                    f"it begins as {encoding.upper()} text and does not stay so",
                    "it was cut, or put together from texts in several encodings",
                    "save it as UTF-8",
                )
            return encoding
    if b"\0" in head[:4]:
        encoding = "utf-16-be" if head[0] == 0 else "utf-16-le"
        return "utf-8" if _read_through(open_file, encoding) is None else encoding
    if _is_utf8(head):
        return "utf-8"
    return "gb18030" if _reads_as_chinese(head, open_file) else "utf-8"


def shown(encoding: str) -> str:
    """The name of an encoding as people write it."""
    return _SHOWN.get(encoding, encoding.upper())


class Utf8(io.RawIOBase):
    """Text in another encoding, read as the bytes of its UTF-8 form."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer; 0 at the end."""
        while not self._ready:
            piece = self._file.read(_PIECE)
            self._ready = self._decoder.decode(piece, final=not piece).encode()
            if not piece:
                break
        taken = self._ready[: len(buffer)]
        buffer[: len(taken)] = taken
        self._ready = self._ready[len(taken) :]
        return len(taken)

    def close(self) -> None:
        """Close the file below, too."""
        self._file.close()
        super().close()


def not_utf8(path: Path, open_file: Opener) -> DataError:
    """Explain where a file stops being UTF-8, with the command that converts it."""
    offset, line, around = _first_bad_byte(open_file)
    likely = next((name for name, common, share in _COMMON if _is_likely(around, name, common, share)), None)
    is_packed = path.suffix.lower() in SUFFIXES
    plain = path.with_suffix("") if is_packed else path
    words = ("iconv", "-f", likely or "ENCODING", "-t", "UTF-8", str(plain))
    target = shlex.quote(str(plain.with_name(f"{plain.stem}-utf8{plain.suffix}")))
    convert = f"{'decompress it, then ' if is_packed else ''}{shlex.join(words)} > {target}"
    return unreadable(
        path,
        f"byte {offset} (line {line}) is not UTF-8",
        "rows are read as UTF-8 text; what else it is written in cannot be told with certainty",
        f"it may be {likely}; if so: {convert}" if likely else f"convert it: {convert}",
    )


def is_other_throughout(lines: Iterable[bytes]) -> bool:
    """Whether many bytes of some lines are not UTF-8, and not one line with such bytes is."""
    num_bad = 0
    for line in lines:
        if not line.isascii():
            if _is_utf8(line):
                return False
            num_bad += line.decode("utf-8", errors="replace").count("\ufffd")
    return num_bad >= _FEWEST


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character cut by the end of the head is fine
    except UnicodeDecodeError:
        return False
    return True


def _read_through(open_file: Opener, encoding: str) -> Counter[str] | None:
    """Decode a whole file and count its characters beyond ASCII; None if it fails."""
    decoder = codecs.getincrementaldecoder(encoding)()
    counted: Counter[str] = Counter()
    with open_file() as file:
        while True:
            piece = file.read(_PIECE)
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError:
                return None
            if _CONTROLS.search(text):
                return None
            counted.update(text)
            if not piece:
                return Counter({char: count for char, count in counted.items() if char > "\x7f"})


def _reads_as_chinese(head: bytes, open_file: Opener) -> bool:
    as_utf8 = codecs.getincrementaldecoder("utf-8")("replace").decode(head)
    if as_utf8.count("\ufffd") <= _num_beyond_ascii(as_utf8) / 2:
        return False  # UTF-8 with a few bad bytes in it
    counted = _read_through(open_file, "gb18030")
    if counted is None or counted.total() < _FEWEST:
        return False
    num_kana = sum(count for char, count in counted.items() if "\u3040" <= char <= "\u30ff")
    return _share(counted, _SIMPLIFIED) >= 0.08 and num_kana < 0.02 * counted.total()


def _share(counted: Counter[str], chars: str) -> float:
    return sum(counted[char] for char in chars) / counted.total()


def _num_beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _first_bad_byte(open_file: Opener) -> tuple[int, int, bytes]:
    """Offset and line of the first byte that is not UTF-8, and what stands around it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line = 0, 1
    with open_file() as file:
        while True:
            piece = file.read(_PIECE)
            pending = decoder.getstate()[0]
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                at = error.start - len(pending)
                around = (pending + piece)[max(0, error.start - 500) : error.start + 4000]
                return offset + at, line + piece.count(b"\n", 0, max(at, 0)), around
            if not piece:
                return offset, line, b""
            offset += len(piece)
            line += piece.count(b"\n")


def _is_likely(around: bytes, encoding: str, common: str, share: float) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(around)
    except UnicodeDecodeError:
        return False
    num_beyond = _num_beyond_ascii(text)
    return num_beyond > 0 and sum(map(len, re.findall(common, text))) >= share * num_beyond
