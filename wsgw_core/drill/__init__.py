"""`wsgw drill`: breaks backends and clients of a gateway, and says what became of every message.

drill              goes through all ways and gathers the results
ways/              what is broken, and what is expected then
stage              backends and clients of one round
target             which gateway: a stock one, one with a user's file, one that runs already
settings           what has to be known of its settings
gateway_process    what is seen of its process
place              a backend's address, log and lives
recording_backend  the process of a websocket backend, which writes down what it reads
recording_log      what it writes
recorder           the same for the processes of other kinds
tcp_proxy          stands before a backend and breaks connections
request            what the clients ask for, so that it reaches the route that is drilled
load_client        the clients, which write down what they send and get
numbered_message   what they send
history            lays the records side by side
row                a way's results, and whether they are as expected
growth             whether the gateway grows
report             the table and the JSON report
live_display       what is seen on the terminal meanwhile
event_loop         of the drill's own processes: a fast one
command            puts these together for the command line
"""
