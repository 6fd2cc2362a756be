"""The testing kit for authors of plugins; no gateway uses it.

BackendContract   the tests that every backend kind must pass      backend_contract
BrokerProxy       cuts a test off from a shared broker             broker_proxy
RecordingSink     a session's side that checks the contract        recording_sink
FakeBackend, FakeClient   scripted ends in memory                  fakes
VirtualClockLoop  an event loop in which hours pass at once        virtual_clock
make_context, make_plugin_context   contexts for factories         context
ValveBench        a valve in a session with its ends in memory     valve_bench
RegisteredPlugin  makes a plugin's objects from its module         registered_plugin
running_gateway   a gateway in the test's process                  running_gateway
FakeSession       a session that records its calls                 fake_session
samples           the numbers that metrics show                    samples
Recorder          writes the log of a backend of `wsgw drill`      recorder

Import from the modules: `wsgw_core.testing.backend_contract` needs pytest, the others do not.

The contract suite consists of `backend_harness`, which an author implements; the tests in
`contract_of_dials`, `contract_of_messages`, `contract_of_replies`, `contract_of_ends` and
`contract_of_losses`; `contract_bench` and `bench_session`, the fixtures of one test; and
`contract_suite`, which makes tests of coroutines. `blocking_calls` and `long_callbacks` find code
that blocks the loop, `descriptors` finds files that stay open, `container_sizes` tables that grow.
The ends in memory are `fake_client`, `fake_backend`, `fake_connection` and `fake_control`; `watch`
waits for what they record. `pytest_plugin` has the fixtures that pytest finds by itself:
`run_virtual`, `running_gateway`. `for_conftest` is for a conftest.py to import: it runs tests on
both event loops, and fails tests that log errors. `session_context` makes the context of a session.
`recorder` writes each `numbered_message` to a `recording_log`.
"""
