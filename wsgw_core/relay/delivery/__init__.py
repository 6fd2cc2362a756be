"""What a client says, until a backend has it.

outbox               sends each message, or keeps it until it can; pauses reading the client
ledger               the messages that no backend has acknowledged; a failover sends them again
awaited_replies      the messages that wait for the application's reply
early_answers        replies that wsgw saw before the backend had acknowledged their message
session_sink         the session's side of one backend connection
read_pauses          why wsgw does not read one side for a while
traffic_account      counts a session's messages for the backend that serves
poison               finds the message that backends die of: sends suspicious ones alone
hydration            prepares a new backend with the messages of valves, step by step
cautious_hydration   finds the session whose hydration backends die of
"""
