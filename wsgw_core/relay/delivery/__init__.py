"""What a client says, until a backend has it.

outbox            sends each message, and holds back what cannot be sent now; stops the client's
                  reading
ledger            what the backend still owes an acknowledgement for; sent again after a failover
awaited_replies   the messages that wait for the application's reply, and forgets them when it is
                  seen or too late
early_answers     replies that were seen before their message was reported delivered
link              the session's end of one backend connection; dead once another has replaced it
hydration         what valves prepare a new backend with, step by step, before all that
read_pauses       why one side is not read for a while
traffic_account   counts the messages for the backend that serves
cautious_hydration  which session's hydration backends may have died of
poison            which message backends may have died of; sends such messages one by one
"""
