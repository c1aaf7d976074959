"""The render worker: claiming jobs and making their videos."""
