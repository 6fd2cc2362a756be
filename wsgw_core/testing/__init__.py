"""What authors of plugins need for their tests; nothing of it runs in a gateway.

BackendContract   the tests that every backend kind must pass      backend_contract
RecordingSink     a session's side that checks what it is told     recording_sink
FakeBackend, FakeClient   scripted ends in memory                  fakes
VirtualClockLoop  an event loop in which hours pass at once        virtual_clock
make_context      what a backend's factory is given                context

Import from the modules: `wsgw_core.testing.backend_contract` needs pytest, the others do not.
"""
