"""Claiming and rendering jobs. Needs the extra `worker`."""
