"""Under which name a test gives what a drill has found to the process that prints it."""

DRILL = "drill"
