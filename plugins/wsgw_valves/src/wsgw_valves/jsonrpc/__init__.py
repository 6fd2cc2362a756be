"""JSON-RPC 2.0: open calls, logins and subscriptions continue at the next backend.

settings      the options
document      parses messages, and finds their ids
own_calls     the valve's own calls, with their own ids
batches       calls that are sent together
subscriptions subscriptions of clients, and their ids
logins        login calls, which new backends get first
valve         the valve
"""
