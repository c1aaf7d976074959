"""The models are what the database returns, as the official generator of types sees it."""

import ast
import types
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import pytest
from pydantic import AwareDatetime

import reelbase.models as ours
from database.servers import Server
from database.supabase_cli import needs_cli, supabase
from reelbase.models.base import Listing, Model, OpenEnum

pytestmark = [pytest.mark.local_stack, needs_cli]

ENUMS: Mapping[str, type[OpenEnum]] = {
    "ElementType": ours.ElementType,
    "FitMode": ours.FitMode,
    "JobStatus": ours.JobStatus,
    "ProcessingStep": ours.ProcessingStep,
    "ResponseType": ours.ResponseType,
    "StorageOperation": ours.StorageOperationType,
}

ROWS: Mapping[str, type[Model]] = {
    "DailyJobStats": ours.JobDay,
    "Elements": ours.Element,
    "EventDeadLetters": ours.EventDeadLetter,
    "JobClaims": ours.JobClaim,
    "JobEvents": ours.OtherEvent,
    "Jobs": ours.Job,
    "MetricThresholds": ours.MetricThreshold,
    "ProcessingTimeline": ours.TimelineStep,
    "SecurityEvents": ours.SecurityEvent,
    "StepPerformance": ours.StepPerformance,
    "StorageOperations": ours.StorageOperation,
    "SystemEvents": ours.SystemEvent,
    "SystemMetrics": ours.Metric,
    "UrlAccessLogs": ours.UrlAccess,
}

COMPOSITES: Mapping[str, type[Model]] = {
    "ClaimState": ours.ClaimState,
    "ClaimedJob": ours.ClaimedJob,
    "ElementPage": ours.ElementPage,
    "EventConsumer": ours.EventConsumer,
    "EventDeadLetterPage": ours.EventDeadLetterPage,
    "EventPage": ours.EventPage,
    "JobDetails": ours.JobDetails,
    "JobHour": ours.JobHour,
    "JobPage": ours.JobPage,
    "JobStatistics": ours.JobStatistics,
    "MetricBucket": ours.MetricBucket,
    "QueueState": ours.QueueState,
    "RateLimit": ours.RateLimit,
    "SecurityEventPage": ours.SecurityEventPage,
    "StatisticsRefresh": ours.StatisticsRefresh,
    "StorageBucketUsage": ours.StorageBucketUsage,
    "StorageOperationPage": ours.StorageOperationPage,
    "StorageOperationPerformance": ours.StoragePerformance,
    "StorageOperationStatistics": ours.StorageStatistics,
    "SystemEventLogPage": ours.SystemEventLogPage,
    "SystemEventPage": ours.SystemEventPage,
    "SystemStats": ours.SystemStats,
    "UrlAccessPage": ours.UrlAccessPage,
    "UrlAccessStatistics": ours.UrlAccessStatistics,
    "VideoJob": ours.VideoJob,
}

# Read with SQL or the plain client only: no function returns rows of these.
WITHOUT_MODEL = {
    "ActiveJobs",
    "ClientActivity",
    "ElementProcessing",
    "ErrorSummary",
    "EventConsumers",
    "HourlyThroughput",
    "JobStatsHourly",
    "JobStatusRealtime",
    "JobSummary",
    "JobTransitions",
    "LatestMetrics",
    "QueueOverview",
    "StoragePerformance",
    "WorkerActivity",
}

# Never null, by how the column is computed; a generated column and a view cannot say so.
NEVER_NULL = {("Elements", "source_kind"), ("Elements", "processing_state")}

SCALARS: Mapping[str, set[Any]] = {
    "bool": {bool},
    "int": {int},
    "float": {Decimal},
    "str": {str},
    "uuid.UUID": {UUID},
    "datetime.date": {date},
    "datetime.datetime": {AwareDatetime},
    "JsonValue": {dict[str, Any]},
    "PgCatalogXid8": {int},
    "PgCatalogInet": {IPv4Address, IPv6Address},
}

EVENTS = set(get_args(get_args(ours.AnyJobEvent)[0]))

Generated = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def generated(own_server: Server, tmp_path_factory: pytest.TempPathFactory) -> ast.Module:
    with own_server.migrated() as database:
        done = supabase(
            tmp_path_factory.mktemp("types"),
            *("gen", "types", "--lang=python", "--schema=public", f"--remote={database.url}"),
        )
    assert done.returncode == 0, done.stderr
    return ast.parse(done.stdout)


def classes(module: ast.Module) -> Generated:
    """The fields of each generated class with their types, without what is for writing."""
    return {
        statement.name.removeprefix("Public"): {
            field.target.id: ast.unparse(field.annotation)
            for field in statement.body
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        }
        for statement in module.body
        if isinstance(statement, ast.ClassDef) and ast.unparse(statement.bases[0]) == "BaseModel"
    }


def test_every_type__has_a_model_or_deliberately_none(generated: ast.Module) -> None:
    assert set(classes(generated)) == {*ROWS, *COMPOSITES, *WITHOUT_MODEL}
    assert {*ROWS, *COMPOSITES} & WITHOUT_MODEL == set()


@pytest.mark.parametrize("name", [*ROWS, *COMPOSITES])
def test_model__has_a_fitting_field_for_each_column_and_no_other(generated: ast.Module, name: str) -> None:
    model = {**ROWS, **COMPOSITES}[name]
    columns = classes(generated)[name]

    assert set(model.model_fields) == set(columns)
    assert list(misfits(name, model, columns)) == []


def misfits(name: str, model: type[Model], columns: Mapping[str, str]) -> Iterator[str]:
    for column, written in columns.items():
        field = members(model.model_fields[column].annotation)
        type_ = written.removeprefix("Optional[").removesuffix("]") if is_optional(written) else written
        if not fits(type_, field - {type(None)}):
            yield f"{column}: {written} in the database, {field} in the model"
        if tells_null(name, column, type_) and is_optional(written) != (type(None) in field):
            yield f"{column}: {written} in the database, {field} in the model"


def is_optional(written: str) -> bool:
    return written.startswith("Optional[")


def tells_null(name: str, column: str, written: str) -> bool:
    """Whether null in the database has to be None in the model.

    A function promises more than its composite type or view can say; null reads as an empty object.
    """
    is_table = name in ROWS and ROWS[name] not in {ours.JobDay, ours.StepPerformance}
    return is_table and written != "JsonValue" and (name, column) not in NEVER_NULL


def members(annotation: Any) -> set[Any]:
    """The types of a union, else the one type."""
    return set(get_args(annotation)) if get_origin(annotation) in {Union, types.UnionType} else {annotation}


def fits(written: str, field: set[Any]) -> bool:
    """Whether a generated type is what the field's types hold."""
    if written.startswith("List["):
        (items,) = field
        return get_origin(items) is tuple and fits(written[len("List[") : -1], {get_args(items)[0]})
    name = written.removeprefix("Public")
    if name == "JobEvents":
        return field == {ours.AnyJobEvent}
    if name in {**ENUMS, **ROWS, **COMPOSITES}:
        return field == {{**ENUMS, **ROWS, **COMPOSITES}[name]}
    if written == "str":
        # A text column whose values a check names.
        return field == {str} or all(issubclass(type_, OpenEnum) for type_ in field)
    if written == "PgCatalogInet":
        return SCALARS[written] <= field <= {*SCALARS[written], IPv4Network, IPv6Network}
    # A dead letter holds a row of job_events as it was.
    return field in (SCALARS[written], EVENTS if written == "JsonValue" else None)


def test_enums__have_the_values_of_the_database_and_take_others(generated: ast.Module) -> None:
    written = {
        statement.target.id.removeprefix("Public"): ast.literal_eval(statement.value.slice)
        for statement in generated.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and statement.target.id.startswith("Public")
        and isinstance(statement.value, ast.Subscript)
    }

    assert {name: tuple(enum) for name, enum in ENUMS.items()} == written
    for enum in OpenEnum.__subclasses__():
        assert enum("of-a-newer-database").value == "of-a-newer-database"


def test_what_the_generator_does_not_see__is_listed() -> None:
    """Rows of `returns table` and JSON objects: their models are held to answers in test_operations.py."""
    seen = {*ROWS.values(), *COMPOSITES.values()}
    specs = {ours.ElementSpec, ours.JobSpec, ours.MetricSpec, ours.StorageOperationSpec, ours.UrlAccessSpec}
    events = {arm.__origin__ for arm in get_args(get_args(ours.AnyJobEvent)[0])}
    # Held to the log in test_event_types.py.
    event_data = {event.model_fields["data"].annotation for event in events}
    bases = {Listing, ours.Page, ours.JobEvent, ours.Model, ours.JobCounts, ours.JobTotals}
    all_models = {
        model for model in vars(ours).values() if isinstance(model, type) and issubclass(model, Model)
    }

    # What the client itself makes of measurements.
    health = {
        ours.HealthCheck,
        ours.HealthFinding,
        ours.HealthLimits,
        ours.HealthReport,
        ours.HealthThresholds,
    }

    assert {frozenset(event.model_fields) for event in events} == {frozenset(ours.OtherEvent.model_fields)}
    assert all_models - seen - specs - bases - health - events - event_data == {
        ours.DatabaseHealth,
        ours.RetentionResult,
        ours.SchemaProblem,
        ours.UrlAccessGroup,
    }
