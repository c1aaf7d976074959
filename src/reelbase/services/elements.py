"""Operations on elements."""

from collections.abc import Iterable
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, listing, operation
from reelbase.models import Element, ElementPage, ElementSpec, ElementState, ElementType
from reelbase.services.changes import LISTS, job_and_lists


class Elements(Service[M]):
    """Compose jobs while they wait, and follow what becomes of their elements."""

    @operation
    def add(self, job_id: UUID, element: ElementSpec) -> Call[Element]:
        """Add an element to a job that waits; without `element_order` it goes last.

        Raises Conflict when the job has begun or the place is taken, InvalidArgument with every problem.
        """
        return Call(
            "add_job_element", {"job_id": job_id, **dict(element)}, Element, changes=job_and_lists(job_id)
        )

    @operation
    def add_many(self, job_id: UUID, elements: Iterable[ElementSpec]) -> Call[list[Element]]:
        """Add 1 to 500 elements, all or none. A problem of one is named `elements[2].width`."""
        return Call(
            "bulk_add_elements",
            {"job_id": job_id, "elements": tuple(elements)},
            list[Element],
            changes=job_and_lists(job_id),
        )

    @listing
    def find(
        self,
        *,
        type: ElementType | None = None,  # noqa: A002  # the column's name
        processing_state: ElementState | None = None,
        job_id: UUID | None = None,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Call[ElementPage]:
        """One page of the elements of all jobs that the caller may see, newest first."""
        return Call(
            "list_elements",
            {
                "type": type,
                "processing_state": processing_state,
                "job_id": job_id,
                "page_size": page_size,
                "cursor": cursor,
            },
            ElementPage,
            reads=("elements",),
        )

    @operation
    def update_status(
        self,
        element_id: UUID,
        *,
        downloaded: bool | None = None,
        processed: bool | None = None,
        local_path: str | None = None,
        source_size: int | None = None,
        error_message: str | None = None,
        claim: int | None = None,
    ) -> Call[Element]:
        """Record how far a worker is with an element; what is not given stays. For backends.

        A success clears the error of an earlier try. Raises LeaseLost when `claim` is over.
        """
        return Call(
            "update_element_status",
            {
                "element_id": element_id,
                "downloaded": downloaded,
                "processed": processed,
                "local_path": local_path,
                "source_size": source_size,
                "error_message": error_message,
                "claim": claim,
            },
            Element,
            changes=LISTS,
        )

    @operation
    def reorder(self, job_id: UUID, element_ids: Iterable[UUID]) -> Call[list[Element]]:
        """Put the elements of a job that waits in this order; all of them must be named, each once."""
        return Call(
            "reorder_elements",
            {"job_id": job_id, "element_ids": tuple(element_ids)},
            list[Element],
            changes=job_and_lists(job_id),
        )

    @operation
    def delete(self, element_id: UUID) -> Call[Element]:
        """Remove an element from a job that waits; what it was."""
        return Call("delete_element", {"element_id": element_id}, Element, changes=LISTS)

    @operation
    def list(self, job_id: UUID) -> Call[list[Element]]:
        """The elements of a job in their order. Raises NotFound for an unknown job."""
        return Call("get_job_elements", {"job_id": job_id}, list[Element], reads=("elements", job_id))
