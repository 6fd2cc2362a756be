"""`wsgw drill` and `wsgw demo`: both start a gateway and backends as separate processes.

demo_command       the command `wsgw demo`
demo/              the failover that it shows
drill_command      the command `wsgw drill`
values             reads the values of its options
run                runs a drill for the terminal
processes/         starts and ends servers as processes

The drill breaks backends and clients of a gateway, and reports the fate of every message.

drill              goes through all ways and gathers the results
ways/              the ways to break things, with their expectations
stage              backends and clients of one round
progress_timeout   how long the drill waits
target             the gateway: a stock one, one with a file, or one that runs already
settings           the settings of the gateway that the drill needs
gateway_process    the process of the gateway: memory and open files
admin_api          calls to the admin API of the gateway
place              a backend's address, log and processes
work_folder        the folder of its files
recording_backend  the process of a websocket backend, which records what it reads
tcp_proxy          a proxy in front of a backend, which breaks connections
request            the clients' request, which reaches the drilled route
reply_valve        the valve for --replies: answers acknowledge messages
load_client        the clients, which record what they send and get
history            compares the records of clients and backends
row                the results of a way, compared with its expectation
growth             detects growth of the gateway's memory and open files
report             the table and the JSON report
live_display       the progress on the terminal
event_loop         the event loop of the drill's processes

`wsgw_core.testing` has what backends of other kinds share: `recorder`, `recording_log`
and `numbered_message`.
"""

__version__ = "0.1.0"
