"""The backends of one gateway: keeps them, chooses the next one, and dials it.

backends     the backends, each with its health and its breaker
policy       chooses the next backend of a group
dialling     gives a session a connection to a backend
membership   adds and removes backends: from the configuration, by operators, by DNS
"""
