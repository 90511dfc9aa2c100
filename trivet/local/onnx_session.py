"""A network that is made here, as a graph that onnxruntime runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trivet.local.loaded import needed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["FUSED", "Graph", "session_options"]

FUSED = "com.microsoft"  # onnxruntime's own operators (docs/ContribOperators.md in its repository)
OPSET, IR = 18, 9
_LARGE = 1_000  # numbers of a tensor


class Graph:
    """Nodes and weights, as they are put together from a model's `tensors`, by name. `extra` is the one of trivet's
    that brings onnx and onnxruntime. What is asked of a tensor that is not there is a `KeyError`."""

    def __init__(self, tensors: Mapping[str, Array], extra: str) -> None:
        self.np: Any = needed("numpy", extra)
        self.onnx: Any = needed("onnx", extra)
        needed("onnx.helper", extra)
        self.tensors, self.extra = tensors, extra
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}

    def node(self, op: str, inputs: Sequence[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def keep(self, name: str, value: Any) -> str:
        """A weight that is made here, as float32; nothing is copied that is so already."""
        self.weights[name] = self.np.asarray(value, self.np.float32, order="C")
        return name

    def weight(self, name: str) -> str:
        return self.keep(name, self.tensors[name])

    def turned(self, name: str) -> str:
        """A linear layer's weights, which lie as (out, in), as (in, out)."""
        return self.keep(name, self.tensors[name].T)

    def constant(self, name: str, values: list[int]) -> str:
        self.weights[name] = self.np.array(values, self.np.int64)
        return name

    def side_by_side(self, name: str, parts: Sequence[str]) -> tuple[str, str]:
        """Linear layers (`parts`, each with `weight` and `bias`) as one, called `name`: its weights and its bias."""
        weights = self.np.concatenate([self.tensors[f"{part}.weight"].T for part in parts], axis=1)
        bias = self.np.concatenate([self.tensors[f"{part}.bias"] for part in parts])
        return self.keep(f"{name}.weight", weights), self.keep(f"{name}.bias", bias)

    def placed(self, words: str, places: str, ids: str = "ids") -> str:
        """`words` (B, S, H), to which the first S of `places` (rows of H) are added; S as `ids` (B, S) have it."""
        self.node("Shape", [ids], "length", start=1, end=2)
        self.node("Slice", [places, self.constant("zero", [0]), "length", "zero"], "here")
        return self.node("Add", [words, "here"], "embedded")

    def opened(
        self,
        name: str,
        inputs: Mapping[str, tuple[str, Sequence[Any]]],
        outputs: Mapping[str, Sequence[Any]],
        *,
        threads: int | None,
    ) -> Any:
        """A session of onnxruntime's. `inputs` are kinds (`INT64`, …) and shapes by name, `outputs` shapes, of float32;
        a size that may be any has a name. `threads` None is one per physical core.

        Large weights are handed over beside the graph and not inside it: a graph is copied twice on its way, which
        holds up every other thread of Python's."""
        helper, types, runtime = self.onnx.helper, self.onnx.TensorProto, needed("onnxruntime", self.extra)
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(key, getattr(types, kind), shape) for key, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(key, types.FLOAT, shape) for key, shape in outputs.items()],
        )
        options = session_options(runtime, threads)
        large = {key: array for key, array in self.weights.items() if array.size > _LARGE}
        for key, array in self.weights.items():
            if key in large:
                kind = helper.np_dtype_to_tensor_dtype(array.dtype)
                outside = types(name=key, dims=array.shape, data_type=kind, data_location=types.EXTERNAL)
                outside.external_data.add(key="location", value="memory")
                graph.initializer.append(outside)
            else:
                graph.initializer.append(self.onnx.numpy_helper.from_array(array, key))
        values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in large.values()]
        options.add_external_initializers(list(large), values)
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=IR)
        return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def session_options(runtime: Any, threads: int | None) -> Any:
    """onnxruntime's options, as every session here has them."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of what it chooses itself
    options.intra_op_num_threads = threads or 0  # 0: one per physical core
    # Threads that spin while they wait take the cores from everybody else and where these are few from each other: on
    # two busy ones a short text takes 8 ms with it, 4 without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
