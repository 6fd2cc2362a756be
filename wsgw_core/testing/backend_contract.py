"""The tests that every kind of backend must pass.

The author of a kind writes a harness (see BackendHarness) and subclasses the suite:

    class TestParrot(BackendContract):
        capabilities = Capabilities(freezes=False)

        @pytest.fixture
        def harness(self) -> BackendHarness:
            return ParrotHarness()

Each inherited test starts the harness in an event loop of its own, opens a backend on it, and
checks at its end that the contract was kept and no task is left. Override a test only to mark it
with `pytest.mark.xfail(reason=...)`; declare in `capabilities` what a kind cannot do.
"""

from __future__ import annotations

from typing import Any

from .backend_harness import BackendHarness, Capabilities
from .contract_of_dials import DialContract
from .contract_of_ends import EndContract
from .contract_of_losses import LossContract
from .contract_of_messages import MessageContract
from .contract_of_replies import ReplyContract

__all__ = ["BackendContract", "BackendHarness", "Capabilities"]


class BackendContract(DialContract, MessageContract, ReplyContract, EndContract, LossContract):
    """Subclass this in a test module and give it a fixture `harness`; see the module's text."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raises TypeError for a subclass that replaces or removes a test without a reason."""
        super().__init_subclass__(**kwargs)
        for name in dir(BackendContract):
            if not name.startswith("test_"):
                continue
            own = getattr(cls, name)
            marks = getattr(own, "pytestmark", [])
            if own is not getattr(BackendContract, name) and not any(
                mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks
            ):
                raise TypeError(
                    f"{cls.__name__}.{name} overrides a test of the contract without"
                    " pytest.mark.xfail(reason=...)"
                )
