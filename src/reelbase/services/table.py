"""All services, each under the name that it has on every client."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic

from reelbase.execution.call import Call
from reelbase.execution.operation import M
from reelbase.realtime.watch import Subject
from reelbase.services.access import Access
from reelbase.services.analytics import Analytics
from reelbase.services.consumers import Consumers
from reelbase.services.elements import Elements
from reelbase.services.events import Events
from reelbase.services.jobs import Jobs
from reelbase.services.maintenance import Maintenance
from reelbase.services.metrics import Metrics
from reelbase.services.queue import Queue
from reelbase.services.security import Security
from reelbase.services.storage import Storage
from reelbase.services.timeline import Timeline

if TYPE_CHECKING:
    from reelbase.execution.signing import SigningKey


class Services(Generic[M]):
    """What a client offers. `carry` takes a Call to the database, `follow` opens a stream, and `signing_key`
    signs watch tokens, where they may be made."""

    def __init__(
        self,
        carry: Callable[[Call[Any]], Any],
        follow: Callable[[Subject], Any],
        signing_key: "SigningKey | None" = None,
    ) -> None:
        self.jobs: Jobs[M] = Jobs(carry, follow)
        self.elements: Elements[M] = Elements(carry, follow)
        self.timeline: Timeline[M] = Timeline(carry, follow)
        self.queue: Queue[M] = Queue(carry, follow)
        self.events: Events[M] = Events(carry, follow)
        self.consumers: Consumers[M] = Consumers(carry, follow)
        self.storage: Storage[M] = Storage(carry, follow)
        self.access: Access[M] = Access(carry, follow)
        self.security: Security[M] = Security(carry, follow, signing_key)
        self.metrics: Metrics[M] = Metrics(carry, follow)
        self.analytics: Analytics[M] = Analytics(carry, follow)
        self.maintenance: Maintenance[M] = Maintenance(carry, follow)
