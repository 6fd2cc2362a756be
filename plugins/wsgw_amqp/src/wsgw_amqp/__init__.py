"""RabbitMQ backends: clients' messages are published with confirms, and workers' replies come back.

plugin             registers the kind
settings           what can be configured
backend            one broker or cluster, and the sessions on its link
connection         one session's messages
dialler            makes links to whichever node works
link               two connections that live and die together
broker_connection  one connection: the library's, with a channel of ours beside
library_loop       the event loop as the library gets it
frame_splitter     divides what comes between the library and our channel
own_channel        what our two uses of a channel share
publisher          the channel that publishes, its confirms and returns
replies            the channel that takes replies, acknowledges and rejects
reply              what a worker has sent
envelope           the properties of what is published
handshake          what is known of a session at its dial
events             connect and disconnect events
topology           exchanges and queues
unroutable_keys    routing keys that lead to no queue
credentials        the name and the password
metrics            what operators are shown
errors             what has gone wrong with the broker
worker             for programs that read the messages
played             stands for a backend in drills
broker_node        a node of RabbitMQ for drills and tests
"""

__version__ = "0.1.0"
