"""`python -m arbitrage` is the command line."""

from arbitrage.cli.main import main

main()
