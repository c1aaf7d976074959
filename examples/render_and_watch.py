from reelbase import ElementSpec, ElementType, Reelbase

with Reelbase.from_env() as client:
    made = client.jobs.create_video(
        "mp4",
        1280,
        720,
        estimated_duration=3,
        elements=[
            ElementSpec(type=ElementType.TEXT, text_content="Spring sale", y_position="30%", width="100%"),
            ElementSpec(type=ElementType.TEXT, text_content="until Friday", y_position="55%", width="100%"),
        ],
    )
    for event in client.jobs.watch(made.job.id):
        print(f"{event.seq:3} {event.type:15} {event.status:11} {event.progress_percentage:6} %")

    job = client.jobs.get(made.job.id)
    for step in client.timeline.get(job.id):
        print(f"{step.step:12} {step.duration_ms} ms")
    print(job.output_url or job.error_message)
