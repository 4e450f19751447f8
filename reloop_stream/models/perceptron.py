"""The multi-layer perceptron of the deep backbones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.scratch import Scratch

__all__ = ["Perceptron", "rectified_gradient"]


# Without the look-up among its variants, which takes longer than what it does to a small batch.
_threshold_backward = torch.ops.aten.threshold_backward.grad_input


class _Normed(nn.Linear):
    """A linear map whose values are normalised by batch before they are activated."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__(n_inputs, n_outputs)
        self.norm = nn.BatchNorm1d(n_outputs)


class Perceptron(nn.ModuleList):
    """The linear maps into each hidden layer, rectifiers and dropout between them, and one output without bias.

    With `batch_norm` each hidden layer's values are normalised before the rectifier (Ioffe and Szegedy 2015, "Batch
    normalization", Section 3.2). output: False leaves the output away; what comes out are then the last hidden layer's
    values before activation.
    """

    def __init__(self, n_inputs: int, config: ModelConfig, *, output: bool = True) -> None:
        widths = [n_inputs, *config.hidden]
        linear = _Normed if config.batch_norm else nn.Linear
        layers: list[nn.Module] = [linear(a, b) for a, b in itertools.pairwise(widths)]
        if output:
            layers.append(nn.Linear(widths[-1], 1, bias=False))
        super().__init__(layers)
        self._dropout = config.dropout
        self.scratch = Scratch()

    @property
    def first(self) -> nn.Linear:
        """The first layer."""
        layer = self[0]
        assert isinstance(layer, nn.Linear)
        return layer

    @property
    def linear(self) -> list[nn.Linear]:
        """The maps into each layer."""
        return [layer for layer in self if isinstance(layer, nn.Linear)]

    @property
    def is_plain(self) -> bool:
        """Whether only rectifiers lie between the layers when it predicts, and one number comes out."""
        return not isinstance(self.first, _Normed) and self[-1].bias is None

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, 1], or [n, units of the last hidden layer], from [n, inputs]."""
        return self.after_first(self.first(inputs))

    def keep(self, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`forward` by hand, and the inputs of each layer, for `gradient`; without dropout and batch norm."""
        kept = []
        for i, layer in enumerate(self):
            if i:
                torch.relu_(inputs)
            kept.append(inputs)
            weight, bias = _weights_of(layer)
            values = self.scratch.take(f"values {i}", (inputs.shape[0], weight.shape[0]), inputs.dtype)
            if bias is None:
                inputs = torch.mm(inputs, weight.T, out=values)
            else:
                inputs = torch.addmm(bias, inputs, weight.T, out=values)
        return inputs, kept

    def gradient(self, d_values: Tensor, kept: Sequence[Tensor]) -> Tensor:
        """The gradient with respect to the inputs, from that with respect to what `keep` gave; the parameters' into their
        `grad`. What was kept of the hidden layers is overwritten: the fewer arrays, the more of them lie in a core's cache."""
        for i, layer in reversed([*enumerate(self)]):
            inputs, (weight, bias) = kept[i], _weights_of(layer)
            torch.mm(d_values.T, inputs, out=weight.grad)
            if bias is not None:
                torch.sum(d_values, 0, out=bias.grad)
            d_inputs = self.scratch.take("d_inputs", (*inputs.shape,), inputs.dtype)
            d_values = torch.mm(d_values, weight, out=d_inputs)
            if i:
                d_values = _threshold_backward(d_inputs, inputs, 0, grad_input=inputs)
        return d_values

    def after_first(self, hidden: Tensor) -> Tensor:
        """The same from the first layer's values before activation, [..., units], which are overwritten."""
        for before, layer in itertools.pairwise(self):
            hidden = layer(self.activate(hidden, before))
        return hidden

    def activate(self, hidden: Tensor, layer: nn.Module) -> Tensor:
        """Batch norm where there is one, rectifier, in place, and dropout, on what the layer gave."""
        if isinstance(layer, _Normed):
            hidden = layer.norm(hidden.flatten(0, -2)).view_as(hidden)
        hidden = torch.relu_(hidden)
        return nn.functional.dropout(hidden, self._dropout) if self.training and self._dropout else hidden

    def first_layer(self, vectors: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        """The share of some fields in the first layer's values, which are linear in the fields' embeddings: [m, units].

        vectors: [m, len(fields), d], where the perceptron's inputs are the vectors of all fields side by side.
        """
        bias = self.first.bias if with_bias else None
        return nn.functional.linear(vectors.flatten(1), self.columns_of(fields, vectors.shape[2]), bias)

    def columns_of(self, fields: Sequence[int], d: int) -> Tensor:
        """The first layer's weights of some fields' vectors, [units, len(fields) · d]."""
        weight = self.first.weight
        columns = torch.tensor([f * d + j for f in fields for j in range(d)], dtype=torch.int64, device=weight.device)
        return weight[:, columns]


def rectified_gradient(d_values: Tensor, values: Tensor) -> None:
    """The gradient before a rectifier, in the place of that behind it; values: what the rectifier gave."""
    _threshold_backward(d_values, values, 0, grad_input=d_values)


def _weights_of(layer: nn.Module) -> tuple[nn.Parameter, nn.Parameter | None]:
    """A linear map's weight and bias, from where torch keeps them: as attributes they cost ten times as much to look up, several
    times a step."""
    parameters = layer._parameters
    weight = parameters["weight"]
    assert weight is not None
    return weight, parameters["bias"]
