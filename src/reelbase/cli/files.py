"""Checks of files and directories before any work is done."""

import os
from collections.abc import Sequence
from pathlib import Path

from reelbase.errors import ConfigurationError


def check_directory(directory: Path) -> None:
    """Make sure that files can be written there; make it if need be. Raises ConfigurationError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The directory {directory} cannot be made: {error.strerror}.", hint="Choose another one."
        ) from error
    if not os.access(directory, os.W_OK):
        raise ConfigurationError(f"Nothing can be written to {directory}.", hint="Choose another one.")


def check_output(output: Path, sources: Sequence[Path]) -> None:
    """Make sure that the output can be written and replaces no source. Raises ConfigurationError."""
    if output.is_dir():
        raise ConfigurationError(f"The output {output} is a directory.", hint="Name a file in it.")
    if any(output.exists() and source.exists() and output.samefile(source) for source in sources):
        raise ConfigurationError(f"The output {output} would replace a source.", hint="Name another output.")
    check_directory(output.parent)
