"""The client's side: listening, opening handshakes, and the socket of each client.

frontend_server   listens on one address, and keeps its clients
acceptor          accepts connections from listening sockets
admission         limits the number of clients
server_tls        the clients' TLS, and the subject of a client's certificate
handshake         one client's opening handshake, from its first byte to the answer
handed_over       takes clients over from an aiohttp application
request_head      reads and checks the client's request
request_target    reads the path and the host of a request's target
bad_request       why a request is refused
polling_clients   logs clients that ask for long polling
allowed_origins   from which sites browsers may connect
trusted_proxies   which peers are proxies, and the clients behind them
forwarded         headers that tell a backend about the client's connection
request_headers   which of the client's headers a backend gets
answers           HTTP answers, 101 and others
client_socket     the client's websocket after the handshake
client_keepalive  finds clients that are gone without a close
client_timeouts   closes clients that are gone, silent or slow, or have been connected for too long
"""
