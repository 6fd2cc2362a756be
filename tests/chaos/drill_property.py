"""The name of the property with which a test passes drill results to the printing process."""

DRILL = "drill"
