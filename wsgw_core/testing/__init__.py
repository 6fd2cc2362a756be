"""What authors of plugins need for their tests; nothing of it runs in a gateway.

BackendContract   the tests that every backend kind must pass      backend_contract
BrokerProxy       takes a broker away that others use too          broker_proxy
RecordingSink     a session's side that checks what it is told     recording_sink
FakeBackend, FakeClient   scripted ends in memory                  fakes
VirtualClockLoop  an event loop in which hours pass at once        virtual_clock
make_context, make_plugin_context   what factories are given       context
ValveBench        a valve in a session with its ends in memory     valve_bench
RegisteredPlugin  makes a plugin's objects by its module           registered_plugin
running_gateway   a gateway in the test's process                  running_gateway
FakeSession       a session that records what it is asked          fake_session
samples           what metrics show                                samples
Recorder          what a process played in `wsgw drill` calls      recorder

Import from the modules: `wsgw_core.testing.backend_contract` needs pytest, the others do not.

The suite consists of `backend_harness`, what an author fills in; its tests, `contract_of_dials`,
`contract_of_messages`, `contract_of_replies`, `contract_of_ends` and `contract_of_losses`;
`contract_bench` and `bench_session`, what one test works with; `contract_suite`, which makes tests
of coroutines. `blocking_calls` and `long_callbacks` find what blocks the loop, `descriptors` files
that stay open, `container_sizes` tables that grow. The ends in memory are `fake_client`,
`fake_backend`, `fake_connection` and `fake_control`; `watch` waits for what they record.
`pytest_plugin` has fixtures that pytest finds by itself: `run_virtual`, `running_gateway`.
`for_conftest` is for a conftest.py to import: both event loops, and errors in the log fail tests.
`session_context` is what a session of a bench needs of its gateway. `recorder` writes down each
`numbered_message` in a `recording_log`.
"""
