"""Makes tests/data/look_back.onnx: `python -m tests.neural.look_back`.

A model that looks back on 3 rows of 3 features, small enough to be computed by hand: the sigmoid of a weighted sum in
which every value of the window has a weight of its own. So tests that know no torch can tell where each value went.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.unit.server.looking_back import FILE, LENGTH, OF_FEATURES, OF_TARGETS, WIDTH


def make() -> onnx.ModelProto:
    """The model."""
    weights = {
        "of_features": OF_FEATURES,
        "of_targets": OF_TARGETS.astype(np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["features", "of_features"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "feature_axes"], ["of_window"], keepdims=0),
        helper.make_node("Cast", ["of_window"], ["window"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["targets", "of_targets"], ["told"]),
        helper.make_node("ReduceSum", ["told", "target_axes"], ["past"], keepdims=0),
        helper.make_node("Add", ["window", "past"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    axes = {"feature_axes": np.array([1, 2]), "target_axes": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "look_back",
        [
            helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["rows", LENGTH + 1, WIDTH]),
            helper.make_tensor_value_info("targets", TensorProto.FLOAT, ["rows", LENGTH]),
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(value, name) for name, value in {**weights, **axes}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"rounds": "7"})
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    FILE.write_bytes(make().SerializeToString())
