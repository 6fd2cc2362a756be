"""Repeats clients' messages, such as logins, to each new backend, by rules.

settings    the options
condition   matches messages
finder      finds a key or an id in a message
reading     a message with its parsed JSON
rule_memory the messages that one rule remembers
valve       the valve
"""
