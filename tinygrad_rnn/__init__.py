"""tinygrad_rnn: the instrument for backpropagation through time.

A recurrent network is literally unrolled into a feedforward graph of ``Value`` (float) or ``Tensor`` (array)
nodes, which is sorted, differentiated, drawn and checked. The public names are
here; ``tr`` is the usual short one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygrad_rnn import nn
from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant, detach
from tinygrad_rnn.core.contexts import no_grad
from tinygrad_rnn.core.errors import GraphCycleError, GraphMutationError, TraceError
from tinygrad_rnn.core.graph import Graph, scope
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives import add_n
from tinygrad_rnn.core.scalarize import Scalarized, scalarize
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from tinygrad_rnn.core.value import Value
from tinygrad_rnn.nn.losses import binary_cross_entropy, cross_entropy, mean_squared_error
from tinygrad_rnn.nn.module import functional_call
from tinygrad_rnn.nn.unroll import Unrolled, unroll
from tinygrad_rnn.plan.compiled import compile

if TYPE_CHECKING:
    from tinygrad_rnn import analysis, testing, train, viz
    from tinygrad_rnn.analysis.anomalies.anomaly import detect_anomaly
    from tinygrad_rnn.analysis.anomalies.blame import AnomalyError
    from tinygrad_rnn.analysis.comparison import GradientComparison, compare_gradients
    from tinygrad_rnn.analysis.curvature.curvature import Spectrum, top_eigenvalues
    from tinygrad_rnn.analysis.curvature.regularizer import Omega, omega
    from tinygrad_rnn.analysis.flows.external import ExternalFlow, gradient_flow_external
    from tinygrad_rnn.analysis.flows.flow import gradient_flow
    from tinygrad_rnn.analysis.online.rtrl import RTRL
    from tinygrad_rnn.analysis.online.snap import SnAp1
    from tinygrad_rnn.analysis.online.uoro import UORO
    from tinygrad_rnn.analysis.truncating.truncation import truncation
    from tinygrad_rnn.viz import draw, explore
    from tinygrad_rnn.viz.widget import widget

__version__ = "0.1.0"
__all__ = [
    "RTRL",
    "UORO",
    "AnomalyError",
    "ExternalFlow",
    "GradientComparison",
    "Graph",
    "GraphCycleError",
    "GraphMutationError",
    "Omega",
    "Op",
    "Scalarized",
    "SnAp1",
    "Spectrum",
    "Tensor",
    "TraceError",
    "Unrolled",
    "Value",
    "add_n",
    "analysis",
    "binary_cross_entropy",
    "compare_gradients",
    "compile",
    "constant",
    "cross_entropy",
    "detach",
    "detect_anomaly",
    "draw",
    "explore",
    "functional_call",
    "grad",
    "gradient_flow",
    "gradient_flow_external",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "mean_squared_error",
    "nn",
    "no_grad",
    "omega",
    "ops",
    "scalarize",
    "scope",
    "testing",
    "top_eigenvalues",
    "train",
    "truncation",
    "unroll",
    "value_and_grad",
    "viz",
    "vjp",
    "widget",
]


# Where each public name lives that the engine itself does not need.
_LATER = {
    "AnomalyError": "analysis.anomalies.blame",
    "ExternalFlow": "analysis.flows.external",
    "GradientComparison": "analysis.comparison",
    "Omega": "analysis.curvature.regularizer",
    "RTRL": "analysis.online.rtrl",
    "SnAp1": "analysis.online.snap",
    "Spectrum": "analysis.curvature.curvature",
    "UORO": "analysis.online.uoro",
    "compare_gradients": "analysis.comparison",
    "detect_anomaly": "analysis.anomalies.anomaly",
    "draw": "viz",
    "explore": "viz",
    "gradient_flow": "analysis.flows.flow",
    "gradient_flow_external": "analysis.flows.external",
    "omega": "analysis.curvature.regularizer",
    "top_eigenvalues": "analysis.curvature.curvature",
    "truncation": "analysis.truncating.truncation",
    "widget": "viz.widget",
}


def __getattr__(name: str) -> Any:
    """Import on first use what the engine itself does not need."""
    if name in ("analysis", "testing", "train", "viz"):
        return import_module(f"tinygrad_rnn.{name}")
    if name in _LATER:
        return getattr(import_module(f"tinygrad_rnn.{_LATER[name]}"), name)
    raise AttributeError(f"module 'tinygrad_rnn' has no attribute {name!r}")
