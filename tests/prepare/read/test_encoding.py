import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow, open_source

Read = Callable[..., list[tuple[int, Any]]]
# "We are very happy in China, because this is a big country", and what other languages have for it.
CHINESE = (
    "\u6211\u4eec\u5728\u4e2d\u56fd\u5f88\u9ad8\u5174\uff0c"
    "\u56e0\u4e3a\u8fd9\u662f\u4e00\u4e2a\u5927\u56fd\u3002"
)
TAIWANESE = (
    "\u6211\u5011\u5728\u4e2d\u570b\u5f88\u9ad8\u8208\uff0c"
    "\u56e0\u70ba\u9019\u662f\u4e00\u500b\u5927\u570b\u3002"
)
JAPANESE = (
    "\u65e5\u672c\u306e\u9996\u90fd\u306f\u6771\u4eac\u3067\u3059"
    "\u3002\u4eba\u53e3\u304c\u591a\u3044\u3067\u3059\u3002"
)
KOREAN = (
    "\ud55c\uad6d\uc758 \uc218\ub3c4\ub294 \uc11c\uc6b8\uc785\ub2c8"
    "\ub2e4. \uc778\uad6c\uac00 \ub9ce\uc2b5\ub2c8\ub2e4."
)
RUSSIAN = "\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430?"
FRENCH = "L'\u00e9t\u00e9 \u00e9tait tr\u00e8s chaud, m\u00eame \u00e0 c\u00f4t\u00e9 de la for\u00eat."
OTHERS = {
    "BIG5": TAIWANESE,
    "SHIFT_JIS": JAPANESE,
    "EUC-JP": JAPANESE,
    "EUC-KR": KOREAN,
    "WINDOWS-1251": RUSSIAN,
    "WINDOWS-1252": FRENCH,
}


def lines_of(text: str, count: int = 20) -> str:
    return "".join(json.dumps({"a": text, "n": n}, ensure_ascii=False) + "\n" for n in range(count))


@pytest.mark.parametrize("encoding", ["gb18030", "gbk", "gb2312"])
def test_chinese_text_in_its_national_encoding_is_read(encoding: str, read: Read, tmp_path: Path) -> None:
    rows = [(line, {"a": CHINESE, "n": line - 1}) for line in range(1, 21)]
    assert read(lines_of(CHINESE).encode(encoding), "rows.jsonl") == rows
    assert open_source(tmp_path / "rows.jsonl").notes == ("rows.jsonl is GB18030 text, and read so",)
    array = "[\n" + ",\n".join(lines_of(CHINESE).splitlines()) + "]"
    assert read(array.encode(encoding), "rows.json") == [(line + 1, row) for line, row in rows]
    table = "a,n\n" + "".join(f"{CHINESE},{n}\n" for n in range(20))
    assert read(table.encode(encoding), "rows.csv") == [
        (line + 1, {**row, "n": str(row["n"])}) for line, row in rows
    ]


@pytest.mark.parametrize("encoding", OTHERS)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv"])
def test_no_other_encoding_is_taken_for_chinese(encoding: str, name: str, write: Callable[..., Path]) -> None:
    lines = lines_of(OTHERS[encoding])
    text = {
        "rows.jsonl": lines,
        "rows.json": "[" + ",".join(lines.splitlines()) + "]",
        "rows.csv": "a,b\n" + f'"{OTHERS[encoding]}",c\n' * 20,
    }[name]
    path = write(text.encode(encoding), name)
    with pytest.raises(DataError) as caught:
        list(open_source(path).rows())
    target = path.with_name(f"rows-utf8{path.suffix}")
    assert (
        f"it may be {encoding}; if so: iconv -f {encoding} -t UTF-8 {path} > {target}" in caught.value.message
    )
    assert "is not UTF-8" in caught.value.message


def test_the_command_that_converts_is_for_a_shell(write: Callable[..., Path]) -> None:
    path = write(f"a,b\n{FRENCH},c\n".encode("cp1252"), "my rows.csv")
    with pytest.raises(DataError, match=r"-t UTF-8 '[^']*/my rows\.csv' > '[^']*/my rows-utf8\.csv'"):
        open_source(path)


def test_a_few_bad_bytes_among_utf8_are_bad_rows(write: Callable[..., Path]) -> None:
    lines = lines_of(CHINESE).encode().splitlines()
    lines[3] = lines_of(CHINESE, 1).encode("gb18030").strip()
    rows = list(open_source(write(b"\n".join(lines), "rows.jsonl")).rows())
    assert [row.line for row in rows if isinstance(row, BadRow)] == [4]
    assert [row.value["a"] for row in rows if isinstance(row, SourceRow)] == [CHINESE] * 19


def test_too_little_chinese_is_not_certain(write: Callable[..., Path]) -> None:
    path = write(json.dumps([{"a": CHINESE[:6]}], ensure_ascii=False).encode("gb18030"), "rows.json")
    with pytest.raises(DataError, match="it may be GB18030; if so: iconv -f GB18030"):
        list(open_source(path).rows())


def test_real_chinese_is_recognised_and_nothing_else_is(
    data_folder: Path, write: Callable[..., Path]
) -> None:
    chinese = ("llamafactory_alpaca_zh.json", "llamafactory_dpo_zh.json", "llamafactory_glaive_tools_zh.json")
    for name in (*chinese, "cdial_splits_in_one.json"):
        path = data_folder / "datasets" / name
        other = write(path.read_text(encoding="utf-8").encode("gb18030"), name)
        assert list(open_source(other).rows()) == list(open_source(path).rows())
    for name, encoding in {
        "vigogne_oasst_fr.jsonl": "cp1252",
        "rag_japanese_qa.csv": "euc_jp",
        "turkish_dialogues_jsonl.jsonl": "cp1254",
    }.items():
        text = (data_folder / "datasets" / name).read_text(encoding="utf-8")
        with pytest.raises(DataError, match="is not UTF-8"):
            list(open_source(write(text.encode(encoding, "replace"), name)).rows())
