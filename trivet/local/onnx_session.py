"""A network that is made here, as onnxruntime runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["opened"]

_LARGE = 1_000  # numbers of a tensor


def opened(
    onnx: Any,
    runtime: Any,
    graph: Any,
    weights: Mapping[str, Any],
    *,
    opsets: Mapping[str, int],
    ir_version: int,
    options: Any,
    threads: int | None,
) -> Any:
    """A session of `graph`, whose initializers are `weights` by name (contiguous arrays). `onnx` and `runtime` are the
    modules; `threads` None is one per physical core.

    Large weights are handed over beside the graph and not inside it: a graph is copied twice on its way, which holds up
    every other thread of Python's."""
    helper, types = onnx.helper, onnx.TensorProto
    options.intra_op_num_threads = threads or 0  # 0: one per physical core
    # Threads that spin while they wait take the cores from everybody else and where these are few from each other: on
    # two busy ones a short text takes 8 ms with it, 4 without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    large = {name: array for name, array in weights.items() if array.size > _LARGE}
    for name, array in weights.items():
        if name in large:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            outside = types(name=name, dims=array.shape, data_type=kind, data_location=types.EXTERNAL)
            outside.external_data.add(key="location", value="memory")
            graph.initializer.append(outside)
        else:
            graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in large.values()]
    options.add_external_initializers(list(large), values)
    versions = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=versions, ir_version=ir_version)
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
