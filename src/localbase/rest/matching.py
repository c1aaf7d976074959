"""Finds the function a request means: by name, and among overloads by the names of the arguments."""

from collections.abc import Sequence

from localbase.rest.arguments import RAW_TYPES, Arguments
from localbase.rest.catalog import Catalog, Routine
from localbase.rest.errors import ApiError
from localbase.rest.fuzzy import nearest


def find_routine(catalog: Catalog, schema: str, name: str, arguments: Arguments) -> Routine:
    """Raises ApiError when none or several fit."""
    overloads = catalog.routines.get((schema, name), ())
    named = [routine for routine in overloads if _takes_named(routine, arguments)]
    found = named or [routine for routine in overloads if takes_whole_body(routine, arguments)]
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(found)
    raise _unknown(catalog, schema, name, arguments)


def takes_whole_body(routine: Routine, arguments: Arguments) -> bool:
    """Whether the routine's one argument has no name and is of a type that fits the body."""
    if len(routine.parameters) != 1 or arguments.raw is None:
        return False
    (parameter,) = routine.parameters
    return parameter.name == "" and parameter.type in arguments.unnamed_types


def _takes_named(routine: Routine, arguments: Arguments) -> bool:
    # Text or bytes are no arguments; where none is needed, they are passed over.
    if arguments.media_type in RAW_TYPES and not routine.parameters:
        return False
    required = {parameter.name for parameter in routine.parameters if parameter.required}
    return required <= arguments.names <= {parameter.name for parameter in routine.parameters}


def _ambiguous(found: Sequence[Routine]) -> ApiError:
    return ApiError(
        300,
        "PGRST203",
        "Could not choose the best candidate function between: " + ", ".join(map(_signature, found)),
        hint="Try renaming the parameters or the function itself in the database"
        " so function overloading can be resolved",
    )


def _signature(routine: Routine) -> str:
    listed = ", ".join(f"{parameter.name} => {parameter.type}" for parameter in routine.parameters)
    return f"{routine.schema}.{routine.name}({listed})"


def _unknown(catalog: Catalog, schema: str, name: str, arguments: Arguments) -> ApiError:
    function = f"{schema}.{name}"
    names = sorted(arguments.names)
    if arguments.media_type in RAW_TYPES:
        given, searched = "", f" with a single unnamed {arguments.unnamed_types[0]} parameter"
        hint = None
    else:
        given, searched = _given(names), _searched(names, arguments)
        hint = _hint(catalog, schema, name, names)
    return ApiError(
        404,
        "PGRST202",
        f"Could not find the function {function}{given} in the schema cache",
        f"Searched for the function {function}{searched}, but no matches were found in the schema cache.",
        hint,
    )


def _given(names: Sequence[str]) -> str:
    return f"({', '.join(names)})" if names else " without parameters"


def _searched(names: Sequence[str], arguments: Arguments) -> str:
    or_whole = " or with a single unnamed json/jsonb parameter" if arguments.document is not None else ""
    if not names:
        return f" without parameters{or_whole}"
    return f" with parameter{'s' if len(names) > 1 else ''} {', '.join(names)}{or_whole}"


def _hint(catalog: Catalog, schema: str, name: str, names: Sequence[str]) -> str | None:
    overloads = catalog.routines.get((schema, name))
    if overloads is None:
        meant = nearest(name, catalog.routine_names(schema))
    else:
        lists = [_listed([parameter.name for parameter in routine.parameters]) for routine in overloads]
        found = nearest(_listed(names), lists)
        meant = None if found is None else f"{name}{found}"
    return None if meant is None else f"Perhaps you meant to call the function {schema}.{meant}"


def _listed(names: Sequence[str]) -> str:
    return f"({', '.join(sorted(names))})"
