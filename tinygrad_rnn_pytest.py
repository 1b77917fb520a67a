"""The pytest plugin of tinygrad_rnn: the option ``--gradcheck``, and nothing else.

It stands outside of the package so that pytest, which loads every installed plugin in every run, imports neither numpy
nor tinygrad_rnn unless the option is given.
"""

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Offer ``--gradcheck``."""
    parser.getgroup("tinygrad_rnn").addoption(
        "--gradcheck",
        action="store_true",
        default=False,
        help="hold every backward pass of tinygrad_rnn that a test runs against derivatives found without its rules",
    )


def pytest_configure(config: Any) -> None:
    """Load what checks, if it is asked for."""
    config.addinivalue_line(
        "markers",
        "no_gradcheck: leave a test out of --gradcheck, whose gradients are no derivatives on purpose",
    )
    if config.getoption("--gradcheck"):
        from tinygrad_rnn.testing.plugin import GradcheckEverything

        config.pluginmanager.register(GradcheckEverything(), "tinygrad_rnn --gradcheck")
