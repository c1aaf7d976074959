"""`python -m localbase`."""

from localbase.cli import main

main()
