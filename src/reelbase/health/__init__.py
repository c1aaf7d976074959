"""Health of the platform: measured by `checkup`, judged by `judging`."""
