"""The bytes of a chain of records (LevelDB's log, as W&B writes it) -> its records, past what is damaged.

A file is cut into blocks of 32 KiB. A record is one part in one block, or a first part, middle ones and a
last one in blocks that follow each other; each part has a checksum, its length and its kind. Behind a damaged
part the next is sought at its end, right where its length is not what is damaged, and else in the next block.
"""

import struct
import zlib
from collections.abc import Iterator

from lorascope.diagnose.logs.damage import Span, pass_over

_HEADER = struct.Struct("<IHB")  # checksum, length, kind
_BLOCK_BYTES = 1 << 15
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records_of(data: bytes, start: int, passed_over: list[Span]) -> Iterator[tuple[bytes, Span]]:
    """Read the records of a file.

    Args:
        data: All of its bytes.
        start: Where its first record begins.
        passed_over: Takes the spans in which parts are damaged, cut, or without the rest of their record.

    Returns:
        Each record and its span. One whose last part is not written yet is left out without a word.
    """
    at, begun, record = start, start, None
    while at < len(data):
        if _left(at) < _HEADER.size:  # no header fits: the block's end is filled up
            at += _left(at)
            continue
        kind, part, end = _part(data, at)
        if record is not None and kind not in (_MIDDLE, _LAST):
            record = None
            pass_over(passed_over, begun, at)  # its end was never written, or is damaged
        if kind in (_WHOLE, _FIRST):
            begun, record = at, part
        elif record is not None:
            record += part
        else:
            pass_over(passed_over, at, end)  # damaged, or the end of a record whose beginning is
        at = end
        if record is not None and kind in (_WHOLE, _LAST):
            yield record, (begun, end)
            record = None


def _part(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Kind, bytes and end of the part at an index; 0, nothing and where to go on where it is damaged."""
    kind, part, end = _sound_part(data, at)
    if kind:
        return kind, part, end
    next_block = min(at + _left(at), len(data))
    return 0, b"", end if end < next_block and _sound_part(data, end)[0] else next_block


def _sound_part(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Kind, bytes and end of a part by its header; kind 0 where its checksum or its length is wrong."""
    if at + _HEADER.size > len(data):
        return 0, b"", len(data)
    checksum, length, kind = _HEADER.unpack_from(data, at)
    end = at + _HEADER.size + length
    part = data[at + _HEADER.size : end]
    fits = end <= at + _left(at) and kind in (_WHOLE, _FIRST, _MIDDLE, _LAST)
    is_sound = fits and zlib.crc32(part, zlib.crc32(bytes([kind]))) == checksum
    return kind if is_sound else 0, part, end


def _left(at: int) -> int:
    """Bytes that a block still has behind an index."""
    return _BLOCK_BYTES - at % _BLOCK_BYTES
