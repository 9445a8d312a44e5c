"""`python -m arbitrage` is the command line."""

from arbitrage.launch import main

main()
