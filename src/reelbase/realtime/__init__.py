"""The event feed: every event of a job once, in order, live while Realtime lives."""
