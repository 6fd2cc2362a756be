"""The client's side: listening, opening handshakes, and the socket of each client.

listener        one address, and the clients that have come there
acceptor        takes connections from listening sockets
admission       how many are let in
handshake       one client's opening handshake, from its first byte to our answer
request_headers which of the client's headers a backend gets
answers         HTTP answers other than 101
client_socket   the client's websocket afterwards
client_sweep    closes those that have been silent, or there, for too long
"""
