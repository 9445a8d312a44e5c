"""`python -m arbitrage` is the command line."""

from arbitrage.cli import main

main()
