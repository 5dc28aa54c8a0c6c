"""The parts of TensorFlow's protocol buffers that a server needs.

What a SavedModel offers, which versions are served, what warms one up. Read without
Python TensorFlow, by field numbers that the formats fix (meta_graph.proto, graph.proto,
function.proto, saved_model.proto; more below).
"""

from __future__ import annotations

from abe_tf.storage.messages import (
    BOOL,
    BYTES,
    ENUM,
    INT64,
    TEXT,
    Field,
    message_classes,
)

_MESSAGES: dict[str, dict[str, Field]] = {
    "Dim": {"size": (1, INT64, False)},
    "Shape": {"dim": (2, "Dim", True), "unknown_rank": (3, BOOL, False)},
    "TensorInfo": {
        "name": (1, TEXT, False),
        "dtype": (2, ENUM, False),
        "tensor_shape": (3, "Shape", False),
    },
    "TensorEntry": {"key": (1, TEXT, False), "value": (2, "TensorInfo", False)},
    "SignatureDef": {
        "inputs": (1, "TensorEntry", True),
        "outputs": (2, "TensorEntry", True),
        "method_name": (3, TEXT, False),
    },
    "SignatureEntry": {"key": (1, TEXT, False), "value": (2, "SignatureDef", False)},
    "AttributeEntry": {"key": (1, TEXT, False), "value": (2, BYTES, False)},
    "Node": {
        "name": (1, TEXT, False),
        "op": (2, TEXT, False),
        "attr": (5, "AttributeEntry", True),
    },
    "Function": {
        "node_def": (3, "Node", True),
        "attr": (5, "AttributeEntry", True),
    },
    "Library": {"function": (1, "Function", True)},
    "Graph": {"node": (1, "Node", True), "library": (2, "Library", False)},
    "MetaGraph": {
        "graph_def": (2, "Graph", False),
        "signature_def": (5, "SignatureEntry", True),
    },
    "SavedModel": {"meta_graphs": (2, "MetaGraph", True)},
    "RunOptions": {"timeout_in_ms": (2, INT64, False)},
    # tensor.proto, model.proto, predict.proto, prediction_log.proto.
    "TensorProto": {
        "dtype": (1, ENUM, False),
        "tensor_shape": (2, "Shape", False),
        "tensor_content": (4, BYTES, False),
        "string_val": (8, BYTES, True),
    },
    "InputEntry": {"key": (1, TEXT, False), "value": (2, "TensorProto", False)},
    "ModelSpec": {"name": (1, TEXT, False), "signature_name": (3, TEXT, False)},
    "PredictRequest": {
        "model_spec": (1, "ModelSpec", False),
        "inputs": (2, "InputEntry", True),
    },
    "PredictLog": {"request": (1, "PredictRequest", False)},
    "PredictionLog": {"predict_log": (6, "PredictLog", False)},
    # model_server_config.proto, file_system_storage_path_source.proto.
    "LabelEntry": {"key": (1, TEXT, False), "value": (2, INT64, False)},
    "Latest": {"num_versions": (1, ENUM, False)},
    "Specific": {"versions": (1, INT64, True)},
    "All": {},
    "VersionPolicy": {
        "latest": (100, "Latest", False),
        "all": (101, "All", False),
        "specific": (102, "Specific", False),
    },
    "ModelConfig": {
        "name": (1, TEXT, False),
        "base_path": (2, TEXT, False),
        "model_version_policy": (7, "VersionPolicy", False),
        "version_labels": (8, "LabelEntry", True),
    },
    "ModelConfigList": {"config": (1, "ModelConfig", True)},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList", False)},
    "OpDef": {"name": (1, TEXT, False)},
    "OpList": {"op": (1, "OpDef", True)},
}


_CLASSES = message_classes("abe_tf", _MESSAGES)
MetaGraph, SavedModel = _CLASSES["MetaGraph"], _CLASSES["SavedModel"]
OpList, RunOptions = _CLASSES["OpList"], _CLASSES["RunOptions"]
PredictionLog = _CLASSES["PredictionLog"]
ModelServerConfig = _CLASSES["ModelServerConfig"]
