"""What a query string asks for, as one frozen value."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from localbase.rest.ranges import EVERYTHING, Range

Path: TypeAlias = tuple[str, ...]
Quantifier: TypeAlias = Literal["any", "all"]
Direction: TypeAlias = Literal["asc", "desc"]
Nulls: TypeAlias = Literal["nullsfirst", "nullslast"]
Join: TypeAlias = Literal["left", "inner"]
Conjunction: TypeAlias = Literal["and", "or"]
STAR = "*"


@dataclass(frozen=True, slots=True)
class JsonStep:
    """`->` or `->>`, and the key or index behind it."""

    as_text: bool
    operand: str | int


@dataclass(frozen=True, slots=True)
class Field:
    """A column, and the way into its JSON."""

    name: str
    steps: tuple[JsonStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Compare:
    """A binary operator; `any` and `all` take an array of values."""

    operator: str
    value: str
    quantifier: Quantifier | None = None


@dataclass(frozen=True, slots=True)
class In:
    """Equal to one of some values."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Is:
    """`is null` and its kin."""

    value: str


@dataclass(frozen=True, slots=True)
class IsDistinct:
    value: str


@dataclass(frozen=True, slots=True)
class Search:
    """Full text search."""

    operator: str
    language: str | None
    value: str


Operation: TypeAlias = Compare | In | Is | IsDistinct | Search


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on one field."""

    field: Field
    operation: Operation
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by `and` or `or`."""

    conjunction: Conjunction
    members: tuple["Condition", ...]
    negated: bool = False


Condition: TypeAlias = Filter | Group


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """`relation` names an embedded resource whose field it is."""

    field: Field
    direction: Direction | None = None
    nulls: Nulls | None = None
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class SelectField:
    field: Field
    alias: str | None = None
    cast: str | None = None
    aggregate: str | None = None


@dataclass(frozen=True, slots=True)
class Embed:
    """A related resource; its fields stand among the parent's when it is spread."""

    relation: str
    items: tuple["SelectItem", ...]
    alias: str | None = None
    hint: str | None = None
    join: Join | None = None
    spread: bool = False

    @property
    def name(self) -> str:
        return self.alias or self.relation


SelectItem: TypeAlias = SelectField | Embed
ALL_COLUMNS: tuple[SelectItem, ...] = (SelectField(Field(STAR)),)


@dataclass(frozen=True, slots=True)
class Query:
    """Filters, groups, orders and ranges go with the path of the embedded resource that they are for."""

    select: tuple[SelectItem, ...] = ALL_COLUMNS
    filters: tuple[tuple[Path, Filter], ...] = ()
    groups: tuple[tuple[Path, Group], ...] = ()
    orders: tuple[tuple[Path, tuple[OrderTerm, ...]], ...] = ()
    ranges: tuple[tuple[Path, Range], ...] = ()
    columns: frozenset[str] | None = None
    on_conflict: tuple[str, ...] | None = None
    # What is neither of these: arguments of a function, when it is called by GET.
    arguments: tuple[tuple[str, str], ...] = ()
    # The whole query string once more, as the address of what is answered.
    canonical: str = ""

    @property
    def range(self) -> Range:
        """Of the rows of the answer itself."""
        return next((found for path, found in self.ranges if not path), EVERYTHING)
