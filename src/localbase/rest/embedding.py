"""Finds the relationship by which a resource is embedded in another."""

from collections.abc import Sequence

from localbase.rest.errors import ApiError
from localbase.rest.fuzzy import nearest
from localbase.rest.relationships import Cardinality, Relationship, Relationships


def find_relationship(
    relationships: Relationships, schema: str, origin: str, target: str, hint: str | None
) -> Relationship:
    """Raises ApiError when there is none, or more than one."""
    known = [
        related
        for related in relationships.get((schema, origin), ())
        if related.target.schema == schema or related.cardinality.computed
    ]
    found = [related for related in known if related.cardinality.computed and related.name == target] or [
        related for related in known if _fits(related, target, hint)
    ]
    if not found:
        raise _no_relationship(relationships, schema, origin, target, hint)
    if len(found) > 1:
        raise _ambiguous(origin, target, found)
    return found[0]


def _fits(related: Relationship, target: str, hint: str | None) -> bool:
    if related.cardinality.computed:
        return False
    if related.to_itself:
        return _fits_itself(related, target, hint)
    if hint is None:
        return target == related.target.name or (
            target in (_constraint(related), _column(related, 0)) and not related.target.is_view
        )
    hints = (_constraint(related), _column(related, 0), _column(related, 1), _junction(related))
    return target == related.target.name and hint in hints


def _fits_itself(related: Relationship, target: str, hint: str | None) -> bool:
    """The many are embedded by the table's name, the one by the name of the column that leads to it."""
    if related.cardinality is Cardinality.ONE_TO_MANY and target == related.target.name:
        return hint is None or hint == _column(related, 1)
    one = related.cardinality is Cardinality.MANY_TO_ONE
    return one and hint is None and target == _column(related, 0)


def _constraint(related: Relationship) -> str | None:
    return None if related.junction else related.name


def _column(related: Relationship, side: int) -> str | None:
    """The column of a key that has only one."""
    return related.columns[0][side] if len(related.columns) == 1 else None


def _junction(related: Relationship) -> str | None:
    return related.junction.table.name if related.junction else None


def _no_relationship(
    relationships: Relationships, schema: str, origin: str, target: str, hint: str | None
) -> ApiError:
    by_hint = f" using the hint '{hint}'" if hint else ""
    return ApiError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{origin}' and '{target}' in the schema cache",
        f"Searched for a foreign key relationship between '{origin}' and '{target}'{by_hint}"
        f" in the schema '{schema}', but no matches were found.",
        _suggestion(relationships, schema, origin, target),
    )


def _suggestion(relationships: Relationships, schema: str, origin: str, target: str) -> str | None:
    known = relationships.get((schema, origin))
    if known is None:
        meant, instead = nearest(origin, [name for found, name in relationships if found == schema]), origin
    else:
        meant, instead = nearest(target, [related.target.name for related in known]), target
    # A name that is there already is no suggestion: the hint was wrong.
    return None if meant in (None, instead) else f"Perhaps you meant '{meant}' instead of '{instead}'."


def _ambiguous(origin: str, target: str, found: Sequence[Relationship]) -> ApiError:
    choices = ", ".join(
        f"'{related.target.name}!{related.junction.table.name if related.junction else related.name}'"
        for related in found
    )
    return ApiError(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{origin}' and '{target}'",
        [_described(related) for related in found],
        f"Try changing '{target}' to one of the following: {choices}."
        " Find the desired relationship in the 'details' key.",
    )


def _described(related: Relationship) -> dict[str, str]:
    return {
        "cardinality": str(related.cardinality),
        "embedding": f"{related.source.name} with {related.target.name}",
        "relationship": _way(related),
    }


def _way(related: Relationship) -> str:
    if related.junction is None:
        own, other = zip(*related.columns, strict=True)
        source, target = f"{related.source.name}{_listed(own)}", f"{related.target.name}{_listed(other)}"
        return f"{related.name} using {source} and {target}"
    junction = related.junction
    source = junction.source_constraint + _listed([column for _, column in junction.source_columns])
    target = junction.target_constraint + _listed([column for _, column in junction.target_columns])
    return f"{junction.table.name} using {source} and {target}"


def _listed(columns: Sequence[str]) -> str:
    return f"({', '.join(columns)})"
