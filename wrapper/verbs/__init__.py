"""The verbs beside `run`, each called as the command calls it."""
