"""RabbitMQ backends: wsgw publishes clients' messages with confirms, and delivers workers' replies.

plugin             registers the kind
settings           the options
backend            one broker or cluster: connects sessions to its link
connection         publishes one session's messages
dialler            connects to a node that works
link               two connections to one node, which are lost together
broker_connection  one connection of aiormq, with a channel of our own
library_loop       the event loop for aiormq, which tracks its tasks
frame_splitter     splits incoming frames between aiormq and our channel
own_channel        the common part of our two channels
publisher          the channel that publishes, with confirms and returns
replies            the channel that consumes, acknowledges and rejects replies
reply              parses a reply
envelope           packs messages and their properties
handshake          routing keys, headers and connect event of a session
session_record     what all backends keep for a session
events             connect and disconnect events
topology           declares or checks exchanges and queues
unroutable_keys    routing keys that lead to no queue
credentials        the user name, and a password that may change
metrics            the metrics of a backend
errors             turns errors of the broker into those of dials
worker             for workers: skips messages that come again
played             the backend for `wsgw drill`
broker_node        a node of RabbitMQ for drills and tests
"""

__version__ = "0.1.0"
