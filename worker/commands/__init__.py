"""The command `lifecycle`: a verb a module of this package, each loaded only when it is asked for.

A module whose name has no underscore in front is a verb; it holds a `command`, and the first line of its docstring is
what the list of verbs says of it.
"""

from worker.commands._verbs import group, main

__all__ = ["group", "main"]
