"""`python -m maitred` is the command `maitred`."""

from maitred.cli import main

main()
