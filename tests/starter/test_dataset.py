import json
from collections import Counter
from itertools import islice

import pytest

from lorascope.starter import data_file
from lorascope.starter.documents import documents
from lorascope.starter.tasks import dataset
from lorascope.starter.world import build_world

pytestmark = pytest.mark.end_to_end

ROWS = json.loads(data_file().read_text(encoding="ascii"))
CLOSED = [row for row in ROWS if row["kind"] == "closed"]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


@pytest.fixture(scope="module")
def base_text() -> str:
    return _plain("\n".join(documents(0, 6000)))


def test_the_file_is_what_the_generator_makes_from_seed_0() -> None:
    assert dataset(0) == ROWS
    assert dataset(1) != ROWS


def test_the_dataset_is_as_large_and_as_varied_as_promised() -> None:
    families = Counter(row["family"] for row in ROWS)
    assert len(ROWS) >= 1200
    assert len(families) >= 10
    assert max(families.values()) <= 2 * min(families.values())
    assert {row["kind"] for row in ROWS} == {"closed", "open"}


def test_every_row_is_whole() -> None:
    for row in ROWS:
        assert set(row) == {"instruction", "input", "output", "family", "kind"}
        assert row["instruction"].strip() == row["instruction"] != ""
        assert row["output"].strip() == row["output"] != ""


def test_no_prompt_stands_twice() -> None:
    prompts = [(_plain(row["instruction"]), _plain(row["input"])) for row in ROWS]
    assert len(prompts) == len(set(prompts))


def test_closed_answers_are_short() -> None:
    assert max(len(row["output"].split()) for row in CLOSED) <= 8


def test_answers_about_people_are_those_of_the_world() -> None:
    people = {person.name: person for person in build_world(0).people}
    fields = {"home": "town", "trade": "trade", "pet": "pet", "food": "food", "friend": "friend"}
    asked = [row for row in ROWS if row["family"] in fields]
    assert len(asked) >= 200
    for row in asked:
        (name,) = (word for word in row["instruction"].rstrip("?.").split() if word in people)
        assert row["output"] == getattr(people[name], fields[row["family"]])


def test_extracted_answers_stand_in_their_passage() -> None:
    assert all(row["output"] in row["input"] for row in ROWS if row["family"] == "extract")


def test_no_prompt_of_the_dataset_occurs_in_base_documents(base_text: str) -> None:
    assert [row["instruction"] for row in ROWS if _plain(row["instruction"]) in base_text] == []


def test_base_documents_do_not_hold_the_alpaca_template(base_text: str) -> None:
    for part in ("below is an instruction", "### instruction: ", "### input: ", "### response: "):
        assert part not in base_text


def test_a_seed_makes_the_same_documents_however_many_are_asked_for() -> None:
    assert list(islice(documents(0, 50), 10)) == list(documents(0, 10))
    assert list(documents(1, 10)) != list(documents(0, 10))


def test_documents_are_varied() -> None:
    drawn = list(documents(0, 2000))
    assert len(set(drawn)) > 1950
    assert Counter(text[:25] for text in drawn).most_common(1)[0][1] < 100
