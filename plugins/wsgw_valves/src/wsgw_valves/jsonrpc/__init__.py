"""JSON-RPC 2.0: calls are answered, and logins and subscriptions kept, whichever backend serves.

settings      what can be configured
document      the JSON of a message, and the ids in it
own_calls     ids of the valve's own calls
batches       calls that are sent together
subscriptions what clients have subscribed to, and by which ids
logins        calls that new backends must hear before all others
valve         has open calls answered by the next backend, and prepares it
"""
