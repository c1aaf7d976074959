"""The `reelbase` command."""

import sys


def main() -> None:
    """Run the command line. Needs the extra `cli`."""
    try:
        from reelbase.cli.app import run  # noqa: PLC0415  # typer comes with an extra
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit(f"reelbase: {error.name} is not installed. Install it with: pip install 'reelbase[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    run()
