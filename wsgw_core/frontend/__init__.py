"""The client's side: listening, opening handshakes, and the socket of each client.

listener        accepts connections on one address
handshake       one client's opening handshake, from its first byte to our answer
request_headers which of the client's headers a backend gets
answers         HTTP answers other than 101
client_socket   the client's websocket afterwards
"""
