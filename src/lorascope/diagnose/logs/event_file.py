"""A TensorBoard event file -> its scalars and texts, without TensorBoard.

A file is a chain of records (TFRecord: length, checksum of the length, an Event in protobuf's wire format,
checksum of the Event). Of an Event only its step and the values of its summary are read; anything else,
images and histograms above all, is passed over by its length.
"""

import re
import struct
from dataclasses import dataclass

from lorascope.diagnose.logs.damage import Span, pass_over
from lorascope.diagnose.logs.wire_format import fields_of

_HEADER = 12
_FOOTER = 4

# Field numbers of event.proto, summary.proto and tensor.proto of TensorFlow.
_EVENT_STEP, _EVENT_SUMMARY = 2, 5
_SUMMARY_VALUE = 1
_VALUE_TAG, _VALUE_SIMPLE, _VALUE_TENSOR = 1, 2, 8
_TENSOR_DTYPE, _TENSOR_CONTENT, _TENSOR_FLOATS, _TENSOR_DOUBLES, _TENSOR_STRINGS = 1, 4, 5, 6, 8
_DT_FLOAT, _DT_DOUBLE = 1, 2
_LONGEST_TEXT = 1 << 20
_LIKELY_LENGTH = re.compile(
    rb"(?=[^\0]..\0{5}|.[^\0].\0{5})", re.DOTALL
)  # of less than 16 MiB, low byte first


@dataclass(frozen=True, slots=True)
class Value:
    """One logged value.

    Attributes:
        step: As the logger gave it.
        tag: Its name, as in "train/loss".
        value: The number, or a text.
    """

    step: int
    tag: str
    value: float | str


def is_event_file(head: bytes) -> bool:
    """Whether a file's first bytes are a record of this kind: the checksum of its length is right."""
    return len(head) >= _HEADER and _length(head, 0) is not None


def values_of(data: bytes) -> tuple[list[Value], list[Span]]:
    """Read a file.

    Args:
        data: All of its bytes.

    Returns:
        Its scalars and texts in order, and the spans of bytes that could not be read. Behind a damaged length
        the next record is where the checksum of a length is right and a whole Event follows.
    """
    found: list[Value] = []
    passed_over: list[Span] = []
    at = 0
    while at < len(data):
        end, values = _record(data, at)
        if values is None:
            end = end or _next_record(data, at + 1)
            pass_over(passed_over, at, end)
        else:
            found += values
        at = end
    return found, passed_over


def _record(data: bytes, at: int) -> tuple[int, list[Value] | None]:
    """The end of a record, 0 where its length is damaged or beyond the file, and what it holds, if sound."""
    length = _length(data, at)
    start = at + _HEADER
    if length is None or start + length + _FOOTER > len(data):
        return 0, None
    try:
        return start + length + _FOOTER, _event(data[start : start + length])
    except (ValueError, IndexError, struct.error):
        return start + length + _FOOTER, None


def _next_record(data: bytes, start: int) -> int:
    """Where the next sound record begins; the file's end where there is none."""
    likely = (found.start() for found in _LIKELY_LENGTH.finditer(data, start))
    return next((at for at in likely if _record(data, at)[1] is not None), len(data))


def _length(data: bytes, at: int) -> int | None:
    """The length of a record; None where its checksum says that this is none."""
    if at + _HEADER > len(data):
        return None
    length, checksum = struct.unpack_from("<QI", data, at)
    return int(length) if _masked_crc(data[at : at + 8]) == checksum else None


def _event(data: bytes) -> list[Value]:
    step, summaries = 0, []
    for number, value in fields_of(data):
        if number == _EVENT_STEP and isinstance(value, int):
            step = value - (1 << 64) if value >> 63 else value
        elif number == _EVENT_SUMMARY and isinstance(value, bytes):
            summaries.append(value)
    return [
        Value(step, *told)
        for summary in summaries
        for number, value in fields_of(summary)
        if number == _SUMMARY_VALUE and isinstance(value, bytes) and (told := _tagged(value)) is not None
    ]


def _tagged(data: bytes) -> tuple[str, float | str] | None:
    """Tag and value of one entry of a summary; None for an image or several numbers."""
    tag, told = "", None
    for number, value in fields_of(data):
        if number == _VALUE_TAG and isinstance(value, bytes):
            tag = value.decode("utf-8", errors="replace")
        elif number == _VALUE_SIMPLE and isinstance(value, bytes):
            told = struct.unpack("<f", value)[0]
        elif number == _VALUE_TENSOR and isinstance(value, bytes):
            told = _single(value)
    return None if told is None else (tag, told)


def _single(data: bytes) -> float | str | None:
    """The only number or text of a tensor; None where it holds another number of them."""
    dtype, numbers, content, texts = 0, b"", b"", []
    for number, value in fields_of(data):
        if number == _TENSOR_DTYPE and isinstance(value, int):
            dtype = value
        elif isinstance(value, bytes):
            if number in (_TENSOR_FLOATS, _TENSOR_DOUBLES):
                numbers += value
            elif number == _TENSOR_CONTENT:
                content = value
            elif number == _TENSOR_STRINGS and len(value) < _LONGEST_TEXT:
                texts.append(value)
    form = {_DT_FLOAT: "<f", _DT_DOUBLE: "<d"}.get(dtype)
    raw = numbers or content
    if form is not None and len(raw) == struct.calcsize(form):
        return float(struct.unpack(form, raw)[0])
    return texts[0].decode("utf-8", errors="replace") if len(texts) == 1 else None


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)  # CRC-32C, bits reversed
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def _masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and shifted as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
