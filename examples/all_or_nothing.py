"""Two jobs, each made by several calls that take effect together: in a batch, and in a transaction."""

from reelbase import ElementSpec, ElementType, Job, NotFound, Reelbase
from reelbase.transactions import Transaction


def text(content: str) -> ElementSpec:
    return ElementSpec(type=ElementType.TEXT, text_content=content, width="100%", height="100%")


def sequel(tx: Transaction, first: Job) -> Job:
    job = tx.jobs.create("mp4", first.width, first.height, estimated_duration=1)
    try:
        with tx.savepoint():
            tx.jobs.cancel(job.id)
            tx.elements.delete(first.id)
    except NotFound:
        print("The savepoint undid it: the job is", tx.jobs.get(job.id).status)
    tx.elements.add(job.id, text(f"After {first.id}"))
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
