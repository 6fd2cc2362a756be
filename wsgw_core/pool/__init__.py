"""The backends, which of them next, and dialling it.

backends     the backends of one gateway, and how each of them fares
policy       which backend of a group next
dialling     gives a session a connection to one of them
membership   which backends there are: the configuration's, the operators' and those of a DNS name
"""
