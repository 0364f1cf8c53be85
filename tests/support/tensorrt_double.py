"""A TensorRT and a CUDA driver without a GPU: engines run by ONNX Runtime in this process's memory.

As much of both APIs as `frcnn.exporting` uses, with their rules: a network takes inputs within its profile,
tensors lie where addresses say, a plan is bytes.
"""

import ctypes
import enum
import json
import types

import numpy as np
import onnx
import onnxruntime

__version__ = "10.13.double"
KINDS = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.INT32: np.int32}
NetworkDefinitionCreationFlag = enum.IntEnum("Creation", {"STRONGLY_TYPED": 1})
BuilderFlag = enum.Enum("BuilderFlag", ["FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"])
MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
TensorIOMode = enum.Enum("TensorIOMode", ["INPUT", "OUTPUT"])
DataType = enum.Enum("DataType", ["FLOAT", "INT64"])
LayerType = enum.Enum("LayerType", ["CONSTANT", "OTHER"])
Dims4 = tuple
MAGIC = b"ptrt\0"
registered = []
builders = []


def init_libnvinfer_plugins(logger, namespace):
    registered.append(namespace)


def nptype(kind):
    return KINDS[kind]


class Logger:
    WARNING = 2

    def __init__(self, severity):
        self.severity = severity


class IInt8EntropyCalibrator2:
    pass


class Layer:
    """One node; the kinds of its outputs are told apart by its operator, as far as this program cares."""

    def __init__(self, node):
        self.name, self.num_outputs = node.name, 1
        self.type = LayerType.OTHER
        self.kind = DataType.INT64 if node.op_type in ("Shape", "NonMaxSuppression") else DataType.FLOAT
        self.precision, self.types = None, {}

    def get_output_type(self, index):
        return self.kind

    def set_output_type(self, index, kind):
        self.types[index] = kind


class Network:
    def __init__(self, flags):
        self.flags, self.name, self.model = flags, "", None

    @property
    def num_inputs(self):
        return len(self.model.graph.input)

    @property
    def num_layers(self):
        return len(self.layers)

    def get_layer(self, index):
        return self.layers[index]

    def get_input(self, index):
        value = self.model.graph.input[index]
        shape = tuple(each.dim_value or -1 for each in value.type.tensor_type.shape.dim)
        return types.SimpleNamespace(name=value.name, shape=shape)


class OnnxParser:
    def __init__(self, network, logger):
        self.network, self.errors = network, []

    def parse_from_file(self, path):
        self.network.model = onnx.load(path)
        nodes = self.network.model.graph.node
        self.network.layers = [Layer(node) for node in nodes]
        self.errors = [f"no importer for {node.op_type}" for node in nodes if node.op_type == "QLinearConv"]
        return not self.errors

    @property
    def num_errors(self):
        return len(self.errors)

    def get_error(self, index):
        return types.SimpleNamespace(desc=lambda: self.errors[index])


class Profile:
    def set_shape(self, name, *shapes):
        self.name, self.shapes = name, shapes


class Config:
    def __init__(self):
        self.flags, self.profiles, self.limits, self.int8_calibrator = set(), [], {}, None

    def set_memory_pool_limit(self, pool, size):
        self.limits[pool] = size

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)

    def set_calibration_profile(self, profile):
        self.calibration_profile = profile

    def set_flag(self, flag):
        self.flags.add(flag)

    def create_timing_cache(self, content):
        return bytearray(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache

    def get_timing_cache(self):
        return types.SimpleNamespace(serialize=lambda: bytes(self.cache))


class Builder:
    def __init__(self, logger):
        builders.append(self)

    def create_network(self, flags):
        self.network = Network(flags)
        return self.network

    def create_builder_config(self):
        self.config = Config()
        return self.config

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        if network.num_layers == 0:
            return None
        config.cache += b"tactic;"
        image = network.get_input(0)
        shapes = config.profiles[0].shapes if config.profiles else [image.shape] * 3
        head = {"name": network.name, "input": image.name, "shapes": shapes, "shape": image.shape}
        return MAGIC + json.dumps(head).encode() + b"\n" + network.model.SerializeToString()


class Runtime:
    def __init__(self, logger):
        pass

    def deserialize_cuda_engine(self, plan):
        try:
            head, _, model = plan.removeprefix(MAGIC).partition(b"\n")
            return Engine(json.loads(head), onnx.load_model_from_string(model))
        except ValueError:
            return None


class Engine:
    def __init__(self, head, model):
        self.head, self.name, self.model = head, head["name"], model
        values = [*model.graph.input, *model.graph.output]
        self.kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        self.num_io_tensors = len(values)

    def get_tensor_name(self, index):
        return list(self.kinds)[index]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name == self.head["input"] else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name):
        return self.head["shape"]

    def get_tensor_profile_shape(self, name, profile):
        return self.head["shapes"]

    def get_tensor_dtype(self, name):
        return self.kinds[name]

    def create_execution_context(self):
        return Context(self)


class Context:
    def __init__(self, engine):
        self.engine, self.addresses = engine, {}
        content = engine.model.SerializeToString()
        self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def set_input_shape(self, name, shape):
        fewest, _, most = self.engine.head["shapes"]
        self.shape = shape
        return list(shape[1:]) == list(fewest[1:]) and fewest[0] <= shape[0] <= most[0]

    def get_tensor_shape(self, name):
        output = next(each for each in self.engine.model.graph.output if each.name == name)
        sides = [each.dim_value for each in output.type.tensor_type.shape.dim]
        return [self.shape[0], *sides[1:]]

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        name = self.engine.head["input"]
        image = np.empty(self.shape, np.float32)
        ctypes.memmove(image.ctypes.data, self.addresses[name], image.nbytes)
        outputs = [each.name for each in self.engine.model.graph.output]
        for output, answer in zip(outputs, self.session.run(outputs, {name: image}), strict=True):
            ctypes.memmove(self.addresses[output], np.ascontiguousarray(answer).ctypes.data, answer.nbytes)
        return True


class CudaLibrary:
    """The driver's functions on the host's memory; `failing` names the one that fails, with its status."""

    def __init__(self, failing=("", 0)):
        self.failing, self.blocks, self.used = failing, {}, []

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*operands):
            self.used.append(name)
            if name == self.failing[0]:
                return self.failing[1]
            return getattr(self, f"_{name}", lambda *_: 0)(*operands)

        return call

    def _cuMemAlloc_v2(self, address, size):  # noqa: N802
        block = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(block)
        self.blocks[address._obj.value] = block
        return 0

    def _cuMemFree_v2(self, address):  # noqa: N802
        del self.blocks[address.value]
        return 0

    def _cuMemcpyHtoDAsync_v2(self, target, source, size, stream):  # noqa: N802
        return self._copy(target, source, size, self.blocks[target.value])

    def _cuMemcpyDtoHAsync_v2(self, target, source, size, stream):  # noqa: N802
        return self._copy(target, source, size, self.blocks[source.value])

    def _copy(self, target, source, size, block):
        assert size.value <= len(block)
        ctypes.memmove(target.value, source.value, size.value)
        return 0

    def _cuGetErrorName(self, status, text):  # noqa: N802
        text._obj.value = b"CUDA_ERROR_NO_DEVICE" if status.value == 100 else b"CUDA_ERROR_UNKNOWN"
        return 0
