"""Tells each new backend what clients have said: logins, subscriptions; by rules.

settings    what can be configured
condition   which messages are meant
finder      a value in a message: a key or an id
reading     a message, as conditions and finders read it
rule_memory what a session has said that one rule is for
valve       keeps it, and repeats it to the next backend
"""
