"""What every section of a recipe is: frozen, strict, and no switch where a number is expected."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Auto = Literal["auto"]
PositiveInt = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the recipe: frozen, no unknown keys, no infinities, and a switch is never a number."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
        hide_input_in_errors=False,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _switches_are_not_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `rank: yes`: YAML makes it True, and pydantic would take True for 1."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and not _takes_bool(field.annotation):
            raise ValueError(f"a switch ({str(value).lower()}) stands where a number or name is expected")
        return value


def _takes_bool(annotation: Any) -> bool:
    # get_args of Literal["auto", False] holds the value False itself.
    return annotation is bool or annotation is False or any(map(_takes_bool, get_args(annotation)))
