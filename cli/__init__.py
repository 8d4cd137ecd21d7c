"""The `strongroom` command: one module per verb; a verb imports its component only when it is called."""
