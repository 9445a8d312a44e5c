"""Titles of the panels of the help, which are the sections of a config file too."""

ARGUMENTS, STRATEGY, STATE = "Arguments", "Strategy", "State"
MARKET, BATTERY, DAYS, RISK, TRAINING = "Market", "Battery", "Days", "Risk", "Training"
OUTPUT, OTHER = "Output", "Other"
FIRST = (ARGUMENTS, STRATEGY, STATE, MARKET, BATTERY, DAYS, RISK, TRAINING)
"""In the order of the help; panels that a command has alone follow them."""
LAST = (OUTPUT, OTHER)
