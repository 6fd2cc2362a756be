"""The client's side: listening, opening handshakes, and the socket of each client.

frontend_server   one address, and the clients that have come there
acceptor          takes connections from listening sockets
admission         how many are let in
server_tls        the clients' TLS, and who a client's certificate says it is
handshake         one client's opening handshake, from its first byte to our answer
handed_over       takes clients over from an aiohttp application
request_head      reads and checks the client's request
request_target    which path is asked for, of which host
bad_request       why a request is refused
polling_clients   tells the log of clients that would rather poll
allowed_origins   from which sites browsers may connect
trusted_proxies   which peers speak for other clients
forwarded         what a backend is told about the client's own connection
request_headers   which of the client's headers a backend gets
answers           HTTP answers, 101 and others
client_socket     the client's websocket afterwards
client_keepalive  finds clients that are gone without a word
client_timeouts   closes those that are gone, or have been silent, slow or there for too long
"""
