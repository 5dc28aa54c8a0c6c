"""The parts of TensorFlow's protocol buffers that a server needs.

What a SavedModel offers, which versions are served, what warms one up. Read without
Python TensorFlow, by field numbers that the formats fix (meta_graph.proto, graph.proto,
function.proto, saved_model.proto; more below).
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_TEXT, _BYTES, _INT64, _ENUM = (
    _FIELD.TYPE_STRING,
    _FIELD.TYPE_BYTES,
    _FIELD.TYPE_INT64,
    _FIELD.TYPE_INT32,
)
# Message: field: number, type (a name for a message), whether repeated. Maps are
# repeated messages of a key and a value.
_MESSAGES: dict[str, dict[str, tuple[int, Any, bool]]] = {
    "Dim": {"size": (1, _INT64, False)},
    "Shape": {"dim": (2, "Dim", True), "unknown_rank": (3, _FIELD.TYPE_BOOL, False)},
    "TensorInfo": {
        "name": (1, _TEXT, False),
        "dtype": (2, _ENUM, False),
        "tensor_shape": (3, "Shape", False),
    },
    "TensorEntry": {"key": (1, _TEXT, False), "value": (2, "TensorInfo", False)},
    "SignatureDef": {
        "inputs": (1, "TensorEntry", True),
        "outputs": (2, "TensorEntry", True),
        "method_name": (3, _TEXT, False),
    },
    "SignatureEntry": {"key": (1, _TEXT, False), "value": (2, "SignatureDef", False)},
    "AttributeEntry": {"key": (1, _TEXT, False), "value": (2, _BYTES, False)},
    "Node": {
        "name": (1, _TEXT, False),
        "op": (2, _TEXT, False),
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
    "RunOptions": {"timeout_in_ms": (2, _INT64, False)},
    # tensor.proto, model.proto, predict.proto, prediction_log.proto.
    "TensorProto": {
        "dtype": (1, _ENUM, False),
        "tensor_shape": (2, "Shape", False),
        "tensor_content": (4, _BYTES, False),
        "string_val": (8, _BYTES, True),
    },
    "InputEntry": {"key": (1, _TEXT, False), "value": (2, "TensorProto", False)},
    "ModelSpec": {"name": (1, _TEXT, False), "signature_name": (3, _TEXT, False)},
    "PredictRequest": {
        "model_spec": (1, "ModelSpec", False),
        "inputs": (2, "InputEntry", True),
    },
    "PredictLog": {"request": (1, "PredictRequest", False)},
    "PredictionLog": {"predict_log": (6, "PredictLog", False)},
    # model_server_config.proto, file_system_storage_path_source.proto.
    "LabelEntry": {"key": (1, _TEXT, False), "value": (2, _INT64, False)},
    "Latest": {"num_versions": (1, _ENUM, False)},
    "Specific": {"versions": (1, _INT64, True)},
    "All": {},
    "VersionPolicy": {
        "latest": (100, "Latest", False),
        "all": (101, "All", False),
        "specific": (102, "Specific", False),
    },
    "ModelConfig": {
        "name": (1, _TEXT, False),
        "base_path": (2, _TEXT, False),
        "model_version_policy": (7, "VersionPolicy", False),
        "version_labels": (8, "LabelEntry", True),
    },
    "ModelConfigList": {"config": (1, "ModelConfig", True)},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList", False)},
    "OpDef": {"name": (1, _TEXT, False)},
    "OpList": {"op": (1, "OpDef", True)},
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="abe_tf.proto", package="abe_tf", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".abe_tf.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"abe_tf.{name}")
        )
        for name in _MESSAGES
    }


_CLASSES = _classes()
MetaGraph, SavedModel = _CLASSES["MetaGraph"], _CLASSES["SavedModel"]
OpList, RunOptions = _CLASSES["OpList"], _CLASSES["RunOptions"]
PredictionLog = _CLASSES["PredictionLog"]
ModelServerConfig = _CLASSES["ModelServerConfig"]
