"""Socket.IO connections continue at the next server: Engine.IO 4 over websockets.

settings     the options, with rules for rooms
packet       parses the beginning of a packet
attachments  keeps a packet and its binary attachments together
ack_ids      distinguishes acknowledgements for this server from those for lost servers
rooms        the rooms that a client has joined
namespace    a namespace of a client
valve        the valve
"""
