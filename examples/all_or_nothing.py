"""Two jobs, each made by several calls that take effect together: in a batch, and in a transaction."""

from reelbase import Conflict, ElementSpec, ElementType, Job, Reelbase
from reelbase.transactions import Transaction


def text(content: str, place: int | None = None) -> ElementSpec:
    return ElementSpec(type=ElementType.TEXT, text_content=content, width="100%", element_order=place)


def sequel(tx: Transaction, first: Job) -> Job:
    job = tx.jobs.create("mp4", first.width, first.height, estimated_duration=1)
    try:
        with tx.savepoint():
            tx.elements.add(job.id, text(f"After {first.id}", place=0))
            tx.elements.add(job.id, text("The End", place=0))
    except Conflict as error:
        # Both are undone, and the transaction goes on.
        print(error)
        tx.elements.add_many(job.id, [text(f"After {first.id}"), text("The End")])
    return job


with Reelbase.from_env() as client:
    with client.batch() as batch:
        made = batch.jobs.create("mp4", 640, 360, estimated_duration=1)
        batch.elements.add(made.ref.id, text("Made"))
        batch.elements.add(made.ref.id, text("in one request"))
    first = made.result()

    second = client.run_transaction(lambda tx: sequel(tx, first))

    for job in (first, second):
        for event in client.jobs.watch(job.id):
            print(event.type, event.status)
        print(client.jobs.get(job.id).output_url)
    print(client.pool_stats())
