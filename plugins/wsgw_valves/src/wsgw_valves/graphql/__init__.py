"""GraphQL operations and subscriptions go on at the next backend (graphql-transport-ws).

settings         what can be configured
frame            reads the type and the id of a message
operation_type   finds out whether a document asks, changes or subscribes
operation        an operation that is open
operations       those of one session, and what becomes of each at another backend
valve            sees the messages of a session
"""
