"""Operations on elements."""

from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import Element, ElementSpec


class Elements(Service[M]):
    """Add and read the elements of a job."""

    @operation
    def add(self, job_id: UUID, element: ElementSpec) -> Call[Element]:
        """Add an element to a job that waits; without `element_order` it goes last.

        Raises Conflict when the job has begun or the place is taken, InvalidArgument with every problem.
        """
        return Call("add_job_element", {"job_id": job_id, **dict(element)}, Element)

    @operation
    def list(self, job_id: UUID) -> Call[list[Element]]:
        """The elements of a job in their order. Raises NotFound for an unknown job."""
        return Call("get_job_elements", {"job_id": job_id}, list[Element], reads=("elements", job_id))
