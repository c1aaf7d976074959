"""Operations that keep the database small and sound."""

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import DatabaseHealth, RetentionResult, SchemaProblem
from reelbase.services.changes import EVERY_JOB


class Maintenance(Service[M]):
    """Remove what is old, for admins; look at the database, for backends."""

    @operation
    def cleanup_old_jobs(self, *, days: int = 30) -> Call[int]:
        """Delete jobs that ended more than `days` ago; how many. In one transaction."""
        return Call("cleanup_old_jobs", {"days": days}, int, changes=EVERY_JOB)

    @operation
    def cleanup_old_metrics(self, *, days: int = 7) -> Call[int]:
        """Delete values of metrics that are older than `days`; how many. In one transaction."""
        return Call("cleanup_old_metrics", {"days": days}, int, changes=(("metrics",),))

    @operation
    def enforce_retention(self, *, max_rows: int = 10_000) -> Call[list[RetentionResult]]:
        """Hold every table to its retention, removing at most `max_rows` rows of each; call again while
        `more_left` is true anywhere."""
        return Call(
            "enforce_data_retention",
            {"max_rows": max_rows},
            list[RetentionResult],
            changes=(
                *EVERY_JOB,
                ("storage",),
                ("access",),
                ("metrics",),
                ("system_events",),
                ("security_events",),
            ),
        )

    @operation
    def verify_schema(self) -> Call[list[SchemaProblem]]:
        """What differs from the schema that the migrations made; nothing is well."""
        return Call("verify_database_schema", {}, list[SchemaProblem], reads=("schema",))

    @operation
    def health(self) -> Call[DatabaseHealth]:
        """How the database is, in one call."""
        return Call("database_health", {}, DatabaseHealth, reads=("health",))
