"""Models of sequences: trained by neuralforecast's networks on torch, scored from ONNX by onnxruntime alone.

`scoring` needs neither torch nor neuralforecast: any trainer image compares with a neural champion. Everything else is
imported when there is something to train.
"""
