from lorascope.prepare.read import BadRow, Row, SourceRow, excerpt_of
from lorascope.prepare.read.rows import in_contents


def test_an_excerpt_is_short_and_printable() -> None:
    assert excerpt_of("a\n\x00\u2028\ud83d" + "x" * 100) == "a\\n\\x00\\u2028\\ud83d" + "x" * 75
    assert excerpt_of({"b": "\u00e9"}) == '{"b": "\u00e9"}'
    excerpt_of(["\ud83d"]).encode()


def test_contents_are_closed_by_size_and_hold_at_least_one_row() -> None:
    rows: list[Row] = [*(SourceRow(line, {"a": line}) for line in range(1, 5)), BadRow(5, "not_json", "x")]
    sized = list(zip([5, 5, 30, 1, 1], rows, strict=True))

    def held(num_bytes: int) -> list[list[Row]]:
        return [list(content.rows()) for content in in_contents(sized, num_bytes)]

    assert held(10) == [rows[:2], rows[2:3], rows[3:]]
    assert held(1) == [[row] for row in rows]
    assert held(1000) == [rows]
    assert list(in_contents([], 10)) == []
