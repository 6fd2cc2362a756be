"""`wsgw drill` and `wsgw demo`: both start a gateway with backends in processes of their own.

demo_command       the command `wsgw demo`
demo/              what it shows
drill_command      the command `wsgw drill`
run                runs a drill for the terminal
processes/         starts and ends servers as processes

The drill breaks backends and clients of a gateway, and says what became of every message.

drill              goes through all ways and gathers the results
ways/              what is broken, and what is expected then
stage              backends and clients of one round
patience           how long it waits
target             which gateway: a stock one, one with a user's file, one that runs already
settings           what has to be known of its settings
gateway_process    what is seen of its process
admin_api          what is asked of its admin API
place              a backend's address, log and lives
recording_backend  the process of a websocket backend, which writes down what it reads
tcp_proxy          stands before a backend and breaks connections
request            what the clients ask for, so that it reaches the route that is drilled
reply_valve        has the gateway wait for answers, if that is asked for
load_client        the clients, which write down what they send and get
history            lays the records side by side
row                a way's results, and whether they are as expected
growth             whether the gateway grows
report             the table and the JSON report
live_display       what is seen on the terminal meanwhile
event_loop         of the drill's own processes: a fast one

What the processes of other kinds need too is in `wsgw_core.testing`: `recorder`, `recording_log`
and `numbered_message`.
"""

__version__ = "0.1.0"
