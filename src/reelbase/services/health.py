"""Operations on how the platform is; those that take more than one call are in `reelbase.health`."""

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import SchemaProblem


class HealthOperations(Service[M]):
    """What can be asked of the database in one call."""

    @operation
    def verify_schema(self) -> Call[list[SchemaProblem]]:
        """What differs from the schema that the migrations made; nothing is well. For backends."""
        return Call("verify_database_schema", {}, list[SchemaProblem], reads=("schema",))
