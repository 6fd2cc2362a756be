"""Where operators look at a gateway and steer it, over HTTP.

calls         every call as a table: method, path, role, meaning
backends, sessions, frontends, health, metrics
              what each call does, a file for each noun
answers       the JSON bodies
guard         who may call what, and from where
application   puts the above together
server        listens
openapi       describes the calls to programs

Nothing here knows more of the gateway than `wsgw_core.steering` offers.
"""
