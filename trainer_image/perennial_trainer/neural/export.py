"""From torch to a graph that onnxruntime runs, and the weights beside it for who wants to train on."""

import logging
import warnings

import torch

from perennial_trainer.neural.networks import Classifier
from perennial_trainer.neural.scoring import ROUNDS
from perennial_trainer.neural.state import pack

for _name in ("torch.onnx._internal.exporter._registration", "onnxscript"):
    logging.getLogger(_name).setLevel(logging.ERROR)  # they name every optional package that is not there


def export_graph(classifier: Classifier, length: int, rounds: int) -> bytes:
    """The classifier as ONNX with one output, ``score``, for any number of rows.

    Through torch's newer exporter: the older one freezes the number of rows at that of the example.
    """
    features = torch.zeros(2, length + 1, len(classifier.center), dtype=torch.float64)
    rows = torch.export.Dim("rows", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own internals
        program = torch.onnx.export(
            classifier.eval(),
            (features, torch.zeros(2, length)),
            dynamo=True,
            input_names=["features", "targets"],
            output_names=["score"],
            dynamic_shapes={"features": {0: rows}, "targets": {0: rows}},
            external_data=False,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props[ROUNDS] = str(rounds)
    return program.model_proto.SerializeToString()


def export_weights(classifier: Classifier) -> bytes:
    """All weights and constants as safetensors."""
    return pack(classifier.state_dict())
