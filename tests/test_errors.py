import pickle

import pytest

from lorascope import errors
from lorascope.errors import DataError, LorascopeError, apart, command, explain, nearest, parts, together

PARENTS = {
    "ConfigError": ValueError,
    "DataError": ValueError,
    "ModelError": ValueError,
    "RunError": RuntimeError,
    "NothingLogged": RuntimeError,
    "NumericsError": ArithmeticError,
    "UndefinedMetric": ValueError,
    "NoTargetTokens": ValueError,
}


@pytest.mark.parametrize(("name", "stdlib_parent"), PARENTS.items())
def test_every_error_is_ours_and_has_a_stdlib_parent_and_pickles(name: str, stdlib_parent: type) -> None:
    error = getattr(errors, name)("what went wrong")
    assert isinstance(error, LorascopeError)
    assert isinstance(error, stdlib_parent)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, str(again)) == (type(error), "what went wrong", "what went wrong")


def test_a_command_is_quoted_where_a_shell_would_read_it_otherwise() -> None:
    assert command("check", "runs/first", "--show", 3) == "lorascope check runs/first --show 3"
    assert command("check", "my runs/a;b") == "lorascope check 'my runs/a;b'"


def test_the_tree_in_the_module_docstring_names_every_error() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, LorascopeError) and value is not LorascopeError
    }
    assert classes == set(PARENTS)
    assert all(name in str(errors.__doc__) for name in classes)


def test_an_explained_error_has_its_four_parts_in_order() -> None:
    message = explain("it broke", where="file a, line 3", why="it is bent", fix="straighten it")
    assert message.split("\n") == [
        "it broke",
        "  where: file a, line 3",
        "  why:   it is bent",
        "  fix:   straighten it",
    ]


def test_parts_undoes_explain_even_where_a_part_has_several_lines() -> None:
    given = {"problem": "one\ntwo", "where": "here", "why": "because\nof this", "fix": "do"}
    assert parts(explain(given["problem"], where="here", why=given["why"], fix="do")) == given
    assert parts("no parts at all") == {"problem": "no parts at all"}


def test_messages_joined_together_come_apart_again() -> None:
    messages = [explain(f"problem {n}", where="w", why="a\n\nblank line", fix="f") for n in range(3)]
    assert apart(together(messages)) == messages
    assert apart("one\n\nplain text") == ["one\n\nplain text"]


def test_nearest_suggests_a_typo_and_lists_the_rest_in_order() -> None:
    assert nearest("v_prj", ["v_proj", "k_proj", "q_proj"]) == (
        'did you mean "v_proj"? available: k_proj, q_proj, v_proj'
    )


def test_nearest_ignores_case_and_keeps_the_name_as_it_is_written() -> None:
    assert nearest("TRAIN.JSON", ["Train.json"]).startswith('did you mean "Train.json"?')


def test_nearest_suggests_nothing_where_nothing_is_close() -> None:
    assert nearest("zzz", ["alpha", "beta"]) == "available: alpha, beta"
    assert nearest("zzz", []) == "nothing is available here"


def test_nearest_lists_so_many_names_and_counts_the_others() -> None:
    # 15 names, 12 shown by default: 3 are left.
    names = [f"name{number:02d}" for number in range(15)]
    assert nearest("x", names).endswith("name11, ... (3 more)")
    assert nearest("x", names, most=1) == "available: name00, ... (14 more)"


def test_an_error_is_caught_by_the_parent_that_a_library_user_expects() -> None:
    with pytest.raises(ValueError, match="broken"):
        raise DataError("broken")
