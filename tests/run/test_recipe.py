import json
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import ConfigError, apart, parts
from lorascope.run.foreign_names import FOREIGN_NAMES
from lorascope.run.recipe import make_recipe, read_recipe_file, recipe_values, with_overrides
from lorascope.run.section import Section
from lorascope.run.sections import Recipe

LEAST = {"base": "gpt2", "data": "rows.json"}


def read(tmp_path: Path, text: str, name: str = "recipe.yaml") -> Recipe:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return make_recipe(read_recipe_file(path), where=str(path))


def message_of(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        make_recipe({**LEAST, **values})
    return caught.value.message


# YAML's traps


def test_a_learning_rate_without_a_dot_is_still_a_number(tmp_path: Path) -> None:
    # YAML 1.1 wants 2.0e-4, so PyYAML hands over the text "2e-4".
    recipe = read(tmp_path, "base: gpt2\ndata: rows.json\ntrain: {learning_rate: 2e-4}\n")
    assert recipe.train.learning_rate == 0.0002


def test_a_switch_is_no_number(tmp_path: Path) -> None:
    # YAML 1.1 reads yes as True, which pydantic would take for 1.
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "base: gpt2\ndata: rows.json\nlora: {rank: yes}\n")
    assert "lora.rank: True is not accepted" in caught.value.message
    assert "a switch (true) stands where a number or name is expected" in caught.value.message


@pytest.mark.parametrize("setting", ["base: no", "data: off", "seed: on", "train: {eval_steps: yes}"])
def test_a_switch_is_no_name_either(setting: str, tmp_path: Path) -> None:
    others = "".join(f"{key}: x\n" for key in ("base", "data") if not setting.startswith(key))
    with pytest.raises(ConfigError, match="a switch"):
        read(tmp_path, f"{others}{setting}\n")


def test_a_switch_is_a_switch_where_one_is_expected(tmp_path: Path) -> None:
    recipe = read(tmp_path, "base: gpt2\ndata: rows.json\ntrain: {checkpoint_activations: yes}\n")
    assert recipe.train.checkpoint_activations is True


@pytest.mark.parametrize(
    "text", ["seed: 1\nseed: 2\n", "lora: {rank: 1, rank: 2}\n", "train:\n  epochs: 1\n  epochs: 2\n"]
)
def test_a_key_written_twice_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stands twice"):
        read(tmp_path, f"base: gpt2\ndata: rows.json\n{text}")


def test_a_key_written_twice_in_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="stands twice"):
        read(tmp_path, '{"base": "gpt2", "data": "a", "data": "b"}', "config.json")


@pytest.mark.parametrize("text", ["12:30", "1:30.5", "2026-01-31", "2026-01-31 12:30:00"])
def test_a_time_or_date_stays_text(text: str, tmp_path: Path) -> None:
    # PyYAML reads 12:30 as 750, 1:30.5 as 90.5 and 2026-01-31 as a date.
    assert read(tmp_path, f"base: gpt2\ndata: {text}\n").data[0].path == text


@pytest.mark.parametrize(
    ("text", "value"), [("0x10", 16), ("0o17", 15), ("0b11", 3), ("1_000", 1000), ("+7", 7)]
)
def test_integers_in_every_notation_are_read(text: str, value: int, tmp_path: Path) -> None:
    assert read(tmp_path, f"base: gpt2\ndata: rows.json\nseed: {text}\n").seed == value


@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan"])
def test_a_number_that_is_not_finite_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lora\.alpha"):
        read(tmp_path, f"base: gpt2\ndata: rows.json\nlora: {{alpha: {text}}}\n")


def test_a_key_that_is_a_list_or_mapping_is_refused_with_its_line(tmp_path: Path) -> None:
    # A template's {{name}} left unfilled is a mapping as a key.
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "base: gpt2\n{{name}}: 3\n")
    assert "line 2" in caught.value.message


@pytest.mark.parametrize(("text", "value"), [("1e-1", 0.1), ("0.25", 0.25), ("50", 50), ("5e1", 50)])
def test_a_number_of_validation_examples_is_never_a_file_name(
    text: str, value: float, tmp_path: Path
) -> None:
    recipe = read(tmp_path, f"base: gpt2\ndata: rows.json\nprepare: {{validation: {text}}}\n")
    assert recipe.prepare.validation == value
    assert type(recipe.prepare.validation) is type(value)


@pytest.mark.parametrize("text", ["1.0", "'1.0'", "50.0", "2.5", "-1", "-0.1", ".inf", ".nan", "[1]", "null"])
def test_a_share_is_below_one_and_a_count_is_whole(text: str, tmp_path: Path) -> None:
    # 1.0 might be meant for all examples or for one; it was read as one.
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"base: gpt2\ndata: rows.json\nprepare: {{validation: {text}}}\n")
    assert "a share is below 1, as in 0.1; a count is a whole number from 1, as in 50" in caught.value.message


@pytest.mark.parametrize("text", ["0", "0.0"])
def test_no_validation_examples_may_be_asked_for(text: str, tmp_path: Path) -> None:
    recipe = read(tmp_path, f"base: gpt2\ndata: rows.json\nprepare: {{validation: {text}}}\n")
    assert recipe.prepare.validation == 0


def test_an_anchor_is_read_like_what_it_stands_for(tmp_path: Path) -> None:
    recipe = read(tmp_path, "base: &name gpt2\ndata: *name\n")
    assert (recipe.base.id, recipe.data[0].path) == ("gpt2", "gpt2")


def test_a_tag_runs_no_code(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path, "base: !!python/object/apply:os.getcwd []\ndata: rows.json\n")


# Files


@pytest.mark.parametrize(("text", "kind"), [("- a\n", "list"), ("just words\n", "str"), ("", "NoneType")])
def test_a_recipe_without_settings_says_what_it_holds(text: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"holds a {kind}, not settings"):
        read(tmp_path, text)


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "base: gpt2\ndata: rows.json\nlora: [rank\n")
    assert f"{tmp_path / 'recipe.yaml'}, line " in caught.value.message


def test_a_missing_recipe_names_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "alpaca.yaml").write_text("base: gpt2\n")
    with pytest.raises(ConfigError, match=r'did you mean "alpaca\.yaml"'):
        read_recipe_file(tmp_path / "alpca.yaml")


def test_a_recipe_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"base: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_recipe_file(tmp_path / "recipe.yaml")


def test_json_with_tabs_and_escaped_characters_is_read_as_json(tmp_path: Path) -> None:
    # As YAML, the tabs are an error and the two escapes two half characters.
    text = '{\n\t"base": "gpt2",\n\t"data": "\\ud83d\\ude00.json"\n}'
    assert read(tmp_path, text, "config.json").data[0].path == "\U0001f600.json"


def test_paths_beside_the_recipe_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rows.json", "held.json", "model"):
        (tmp_path / name).write_text("[]")
    monkeypatch.chdir("/")
    recipe = read(tmp_path, "base: ./model\ndata: rows.json\nprepare: {validation: held.json}\n")
    assert recipe.data[0].path == str(tmp_path / "rows.json")
    assert recipe.prepare.validation == str(tmp_path / "held.json")
    assert recipe.base.id == str(tmp_path / "model")
    assert read(tmp_path, "base: {id: ./model}\ndata: rows.json\n").base.id == str(tmp_path / "model")


def test_unrelated_text_is_found_beside_the_recipe_and_auto_is_no_file(tmp_path: Path) -> None:
    for name in ("other.txt", "auto"):
        (tmp_path / name).write_text("text")
    text = "base: gpt2\ndata: rows.json\ncompare: {{unrelated: {}}}\n"
    assert read(tmp_path, text.format("other.txt")).compare.unrelated == str(tmp_path / "other.txt")
    assert read(tmp_path, text.format("gone.txt")).compare.unrelated == "gone.txt"
    assert read(tmp_path, text.format("auto")).compare.unrelated == "auto"
    assert read(tmp_path, text.format("false")).compare.unrelated is False
    for wrong in ("true", "3", "''"):
        with pytest.raises(ConfigError, match="compare.unrelated: .* is not accepted"):
            read(tmp_path, text.format(wrong))


def test_a_tilde_in_a_recipe_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = "base: ~/models/small\ndata: ~/rows.json\nprepare: {validation: ~/held.json}\n"
    recipe = read(tmp_path, text)
    assert recipe.base.id == "/home/me/models/small"
    assert (recipe.data[0].path, recipe.prepare.validation) == ("/home/me/rows.json", "/home/me/held.json")


def test_paths_that_are_not_beside_the_recipe_stay(tmp_path: Path) -> None:
    recipe = read(tmp_path, "base: gpt2\ndata: elsewhere.json\n")
    assert (recipe.base.id, recipe.data[0].path) == ("gpt2", "elsewhere.json")


def test_a_stored_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = make_recipe(
        {**LEAST, "lora": {"rank": 3, "target_modules": ["q_proj"]}, "train": {"epochs": 1e-5}}
    )
    path = tmp_path / "config.json"
    path.write_text(json.dumps(recipe_values(recipe)))
    assert make_recipe(read_recipe_file(path)) == recipe


# Keys


SECTIONS = {
    name: type(field.default)
    for name, field in Recipe.model_fields.items()
    if isinstance(field.default, Section)
}


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_of_any_section_gets_the_nearest_name(section: str) -> None:
    known = next(iter(SECTIONS[section].model_fields))
    message = message_of({section: {f"{known}x": 1}})
    assert f'unknown setting "{section}.{known}x"' in message
    assert f'did you mean "{known}"?' in message


def test_an_unknown_section_gets_the_nearest_name() -> None:
    message = message_of({"prepair": {}})
    assert 'unknown setting "prepair"' in message
    assert 'did you mean "prepare"?' in message


@pytest.mark.parametrize("name", FOREIGN_NAMES)
def test_every_foreign_name_is_translated(name: str) -> None:
    assert f"here it is called {FOREIGN_NAMES[name]}" in message_of({name: 8})


@pytest.mark.parametrize("translation", sorted(set(FOREIGN_NAMES.values())))
def test_every_translation_names_a_setting_that_exists(translation: str) -> None:
    if translation.startswith(("nothing", "--")):
        return
    model: Any = Recipe
    for part in translation.partition(":")[0].partition(" ")[0].split("."):
        assert part in model.model_fields, translation
        model = model.model_fields[part].annotation


def test_no_foreign_name_is_one_of_ours() -> None:
    ours = {name for section in SECTIONS.values() for name in section.model_fields} | set(Recipe.model_fields)
    assert not ours & set(FOREIGN_NAMES)


def test_all_errors_of_a_recipe_come_together_in_its_order() -> None:
    message = message_of(
        {
            "lora": {"rank": 0, "alpah": 3, "dropout": True},
            "train": {"schedule": "cosin", "epochs": -1},
            "prepare": {"max_length": 4},
        }
    )
    problems = [parts(one)["problem"] for one in apart(message)]
    assert sorted(problems) == [
        "lora.dropout: True is not accepted",
        "lora.rank: 0 is not accepted",
        "prepare.max_length: 4 is not accepted",
        "train.epochs: -1 is not accepted",
        "train.schedule: 'cosin' is not accepted",
        'unknown setting "lora.alpah"',
    ]
    assert message.count("  fix:") == len(problems)


def test_every_branch_of_a_setting_says_why_it_refused() -> None:
    # max_length is "auto" or a number from 8: both reasons belong to the answer.
    message = message_of({"prepare": {"max_length": 4}})
    assert "'auto'" in message
    assert "greater than or equal to 8" in message


def test_what_is_missing_is_named_with_an_example() -> None:
    with pytest.raises(ConfigError) as caught:
        make_recipe({})
    assert '"base" is missing' in caught.value.message
    assert "--base gpt2" in caught.value.message
    assert '"data" is missing' in caught.value.message


def test_a_wrong_value_shows_what_the_setting_means_and_its_default() -> None:
    message = message_of({"lora": {"rank": "wide"}})
    assert "Width of A and B" in message
    assert "Default: 16." in message


def test_a_key_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read(tmp_path, "base: gpt2\ndata: rows.json\n1: 2\nlora: {3: 4}\n")


def test_a_recipe_cannot_be_changed_after_it_is_made() -> None:
    recipe = make_recipe(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3  # type: ignore[misc]


def test_a_plain_base_name_is_short_for_its_section() -> None:
    assert make_recipe(LEAST).base == make_recipe({**LEAST, "base": {"id": "gpt2"}}).base


def test_the_defaults_are_those_of_the_design() -> None:
    recipe = make_recipe(LEAST)
    assert (recipe.seed, recipe.base.dropout, recipe.check.allow) == (0, 0.0, ())
    assert recipe.prepare.model_dump() == {
        "template": "auto",
        "format": "auto",
        "columns": None,
        "targets": "all",
        "truncation": "drop",
        "score": False,
        "near_duplicates": 0.8,
        "max_length": "auto",
        "validation": "auto",
        "test": 0,
        "max_dropped": 0.01,
    }
    assert recipe.lora.model_dump() == {"rank": 16, "alpha": 32.0, "dropout": 0.0, "target_modules": "auto"}
    train = recipe.train
    assert (train.epochs, train.batch_size, train.row_tokens) == (3.0, 16, "auto")
    assert (train.learning_rate, train.schedule, train.warmup) == (2e-4, "cosine", 0.03)
    assert (train.precision, train.eval_steps, train.eval_examples, train.save_steps) == (
        "auto",
        "auto",
        "auto",  # the design's 200, fewer where they would take more than a tenth of the training
        "auto",
    )
    assert recipe.eval.precision == "float32"


# --set


def test_set_reads_its_value_as_yaml_and_wins() -> None:
    values = with_overrides(
        {**LEAST, "lora": {"rank": 8, "alpha": 4}},
        ["lora.rank=32", "lora.target_modules=[q_proj, v_proj]", "train.max_grad_norm=null", "seed=7"],
    )
    recipe = make_recipe(values)
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.seed) == (32, 4, 7)
    assert recipe.lora.target_modules == ("q_proj", "v_proj")
    assert recipe.train.max_grad_norm is None


def test_set_leaves_the_values_it_was_given_alone() -> None:
    given = {**LEAST, "lora": {"rank": 8}}
    with_overrides(given, ["lora.rank=1"])
    assert given == {**LEAST, "lora": {"rank": 8}}


def test_set_reaches_into_a_base_given_by_name() -> None:
    recipe = make_recipe(with_overrides(LEAST, ["base.dropout=keep"]))
    assert (recipe.base.id, recipe.base.dropout) == ("gpt2", "keep")


def test_set_keeps_an_equals_sign_in_its_value() -> None:
    assert with_overrides(LEAST, ["data=a=b.json"])["data"] == "a=b.json"


@pytest.mark.parametrize("override", ["lora.rank", "=3", "", "lora.rank 32"])
def test_set_without_key_and_value_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"is not key=value"):
        with_overrides(LEAST, [override])


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("lora.rnk=3", 'did you mean "rank"?'),
        ("r=3", "here it is called lora.rank"),
        ("lora=3", "lora: 3 is not accepted"),
        ("lora.rank=yes", "a switch (true)"),
        ("lora.rank=", "lora.rank: None is not accepted"),
        ("lora.rank.deep=3", "lora.rank: {'deep': 3} is not accepted"),
        ("nowhere.near=3", 'unknown setting "nowhere"'),
    ],
)
def test_set_of_a_wrong_key_or_value_is_refused(override: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_recipe(with_overrides(LEAST, [override]), "command line")
    assert problem in caught.value.message


def test_set_of_a_value_that_is_no_yaml_names_the_override() -> None:
    with pytest.raises(ConfigError, match=r"--set lora.rank=\[3"):
        with_overrides(LEAST, ["lora.rank=[3"])
