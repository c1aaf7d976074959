"""`python -m reelbase`."""

from reelbase.cli import main

main()
