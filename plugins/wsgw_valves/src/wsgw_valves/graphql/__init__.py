"""GraphQL operations and subscriptions continue at the next backend (graphql-transport-ws).

settings         the options
frame            finds the type and the id of a message
operation_type   finds out whether a document is a query, mutation or subscription
operation        an open operation
operations       the open operations of one session
valve            the valve
"""
