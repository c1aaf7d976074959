"""Values the database returns: frozen, typed, tolerant of columns and enum values a newer database adds."""

from reelbase.models.base import Model
from reelbase.models.element import Element, ElementSpec, ElementType, FitMode
from reelbase.models.event import EventType, JobEvent
from reelbase.models.job import Job, JobPage, JobStatus, ResponseType, VideoJob
from reelbase.models.timeline import ProcessingStep, TimelineStep

__all__ = [
    "Element",
    "ElementSpec",
    "ElementType",
    "EventType",
    "FitMode",
    "Job",
    "JobEvent",
    "JobPage",
    "JobStatus",
    "Model",
    "ProcessingStep",
    "ResponseType",
    "TimelineStep",
    "VideoJob",
]
