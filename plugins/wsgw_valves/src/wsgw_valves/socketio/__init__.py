"""Socket.IO connections go on at the next server: engine.io 4 over websockets.

settings     what can be configured, with rules for rooms
packet       reads how a packet begins
attachments  keeps a packet and its binary attachments together
ack_ids      tells acknowledgements for this server from those for servers that are gone
rooms        what a client has joined
namespace    one that a client has connected to
valve        sees the messages of a session
"""
