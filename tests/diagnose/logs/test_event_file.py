"""Event files, read without TensorBoard, against what its writer was told and against its own reader."""

import math
import struct
from pathlib import Path

import pytest

from lorascope.diagnose.logs.event_file import _masked_crc, is_event_file, values_of

FILE = Path(__file__).parent / "written" / "events.out.tfevents.1795316154.writer"


def test_every_value_the_writer_was_told_is_read_in_order() -> None:
    values, passed_over = values_of(FILE.read_bytes())
    assert passed_over == []
    told = [(one.tag, one.step, one.value) for one in values if one.tag.startswith(("train/", "eval/"))]
    assert told[:5] == [  # all of them exact in 32 bits
        ("train/loss", 10, 2.5),
        ("train/grad_norm", 10, 0.5),
        ("train/learning_rate", 10, 2.0**-12),
        ("train/epoch", 10, 1.0),
        ("eval/loss", 10, 1.5),
    ]
    losses = [value for tag, _, value in told if tag == "train/loss"]
    assert losses[:2] == [2.5, 1.25] and math.isnan(float(losses[2]))
    assert told[-1] == ("train/train_loss", 30, struct.unpack("<f", struct.pack("<f", 1.9))[0])
    # 3 x 4 of training, 2 x 4 of evaluation, the last one, a text; the histogram is passed over
    assert len(values) == 3 * 4 + 2 * 4 + 1 + 1


def test_the_same_values_are_read_as_by_tensorboard() -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    theirs = [
        (event.step, value.tag, value.tensor.float_val[0])
        for event in loader.EventFileLoader(str(FILE)).Load()
        for value in event.summary.value
        if value.tensor.float_val
    ]
    ours = [
        (one.step, one.tag, one.value) for one in values_of(FILE.read_bytes())[0] if one.value == one.value
    ]
    assert ours[1:] == [one for one in theirs if one[2] == one[2]]  # the first of ours is the text


@pytest.mark.parametrize("kept", [-1, -9, -40])
def test_a_file_that_is_cut_gives_what_is_before_the_cut(kept: int) -> None:
    data = FILE.read_bytes()[:kept]
    values, passed_over = values_of(data)
    assert [end for _, end in passed_over] == [len(data)]
    assert repr(values) == repr(values_of(FILE.read_bytes())[0][:-1])  # as text, because NaN equals nothing


def record(payload: bytes, *, length: bytes | None = None) -> bytes:
    """A record of the file; its checksum is right for the length unless another stands there."""
    right = struct.pack("<Q", len(payload))
    return (length or right) + struct.pack("<I", _masked_crc(right)) + payload + bytes(4)


def event(step: int, loss: float) -> bytes:
    """An Event: step in field 2, a summary in 5; in that a value in 1, its tag in 1 and its number in 2."""
    value = b"\x0a\x04loss\x15" + struct.pack("<f", loss)
    summary = b"\x0a" + bytes([len(value)]) + value
    return b"\x10" + bytes([step]) + b"\x2a" + bytes([len(summary)]) + summary


def test_behind_a_damaged_length_reading_goes_on_with_the_next_record() -> None:
    whole = [record(event(step, 0.5 * step)) for step in range(1, 6)]
    flipped = record(event(2, 1.0), length=struct.pack("<Q", len(event(2, 1.0)) ^ 1))
    data = b"".join([whole[0], flipped, *whole[2:]])
    values, passed_over = values_of(data)
    assert [(one.step, one.value) for one in values] == [(1, 0.5), (3, 1.5), (4, 2.0), (5, 2.5)]
    assert passed_over == [(len(whole[0]), len(whole[0]) + len(whole[1]))]


def test_a_record_whose_content_is_no_event_costs_only_itself() -> None:
    whole = [record(event(step, 0.5 * step)) for step in range(1, 4)]
    cut = record(event(2, 1.0)[:-1])  # its last field is longer than what is left
    values, passed_over = values_of(b"".join([whole[0], cut, whole[2]]))
    assert [one.step for one in values] == [1, 3]
    assert passed_over == [(len(whole[0]), len(whole[0]) + len(cut))]


def test_only_bytes_with_a_right_checksum_are_an_event_file() -> None:
    data = FILE.read_bytes()
    assert is_event_file(data[:12])
    assert not is_event_file(data[:11])
    assert not is_event_file(b'{"log_history": []}')
    assert not is_event_file(bytes(12))
