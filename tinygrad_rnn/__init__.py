"""tinygrad_rnn: the instrument for backpropagation through time."""

from tinygrad_rnn.core import primitives as ops
from tinygrad_rnn.core.carriers import constant, detach
from tinygrad_rnn.core.errors import GraphCycleError, GraphMutationError, TraceError
from tinygrad_rnn.core.graph import Graph, no_grad, scope
from tinygrad_rnn.core.op import Op
from tinygrad_rnn.core.primitives import add_n
from tinygrad_rnn.core.tensor import Tensor
from tinygrad_rnn.core.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from tinygrad_rnn.core.value import Value
