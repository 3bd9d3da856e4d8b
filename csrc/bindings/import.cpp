#include "bindings/import.h"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>

#include "bindings/dlpack.h"
#include "bindings/elements.h"
#include "bindings/numpy.h"
#include "bindings/python.h"
#include "ops/error.h"

#ifdef PPF_WITH_CUDA
#include "kernels/launch.h"
#endif

namespace py = pybind11;

namespace ppf::bindings {
namespace {

constexpr const char* kAccepted =
    "an array (NumPy, Torch, CuPy, or anything with the buffer protocol, `__dlpack__` or `__cuda_array_interface__`)";

// ---- owners --------------------------------------------------------------------------------------------------------

struct BufferOwner : Owner {
  Py_buffer buffer = {};  // held: a bytearray refuses to be resized until it is released
  ~BufferOwner() override {
    WithGil gil;
    PyBuffer_Release(&buffer);
  }
};

struct ReferenceOwner : Owner {
  explicit ReferenceOwner(py::handle object) : reference(object.inc_ref()) {}
  py::handle reference;
  ~ReferenceOwner() override {
    WithGil gil;
    reference.dec_ref();
  }
};

template <class Managed>
struct CapsuleOwner : Owner {
  Managed* managed = nullptr;
  ~CapsuleOwner() override {
    if (managed == nullptr || managed->deleter == nullptr) return;
    WithGil gil;
    py::error_scope keep_current_error;
    managed->deleter(managed);
  }
};

// ---- what every protocol must promise ------------------------------------------------------------------------------

void set_rank(Memory& memory, int64_t rank, const std::string& argument) {
  if (rank < 0 || rank > Memory::kMaxRank) {
    throw InputError(argument, "at most " + std::to_string(Memory::kMaxRank) + " axes", std::to_string(rank) + " axes");
  }
  memory.rank = static_cast<int>(rank);
}

void set_c_strides(Memory& memory) {
  int64_t stride = 1;
  for (int axis = memory.rank - 1; axis >= 0; --axis) {
    memory.stride[axis] = stride;
    // An overflow is found by check_memory; until then the number only has to be one.
    if (__builtin_mul_overflow(stride, memory.shape[axis], &stride)) stride = 0;
  }
}

[[noreturn]] void refuse_misaligned(const Memory& memory, const std::string& argument) {
  throw InputError(argument, "elements aligned to " + std::to_string(size_of(memory.dtype)) + " bytes",
                   std::string("misaligned ") + name_of(memory.dtype), "make an aligned copy of it");
}

void set_byte_stride(Memory& memory, int axis, int64_t bytes, const std::string& argument) {
  const int64_t size = size_of(memory.dtype);
  if (bytes % size != 0 && memory.shape[axis] > 1) refuse_misaligned(memory, argument);
  memory.stride[axis] = bytes / size;
}

// Index arithmetic is 64-bit everywhere behind this, so it is enough that no offset in bytes overflows.
void check_memory(const Memory& memory, const std::string& argument) {
  int64_t count = 1, extent = size_of(memory.dtype);
  bool overflow = false, empty = false;
  for (int axis = 0; axis < memory.rank; ++axis) {
    const int64_t size = memory.shape[axis];
    if (size < 0)
      throw InputError(argument, "sizes of 0 or more",
                       "axis " + std::to_string(axis) + " of size " + std::to_string(size));
    empty = empty || size == 0;
    int64_t bytes = 0;
    overflow = overflow || __builtin_mul_overflow(count, size, &count) ||
               __builtin_mul_overflow(size - 1, memory.stride[axis], &bytes) ||
               __builtin_mul_overflow(bytes, size_of(memory.dtype), &bytes) || bytes == INT64_MIN ||
               __builtin_add_overflow(extent, std::abs(bytes), &extent);
  }
  if (empty) return;
  if (overflow) throw InputError(argument, "an array that fits into memory", "sizes or strides beyond 2^63 bytes");
  if (memory.data == nullptr) throw InputError(argument, "memory", "a null pointer: it was freed, or never there");
  if (reinterpret_cast<std::uintptr_t>(memory.data) % static_cast<std::uintptr_t>(size_of(memory.dtype)) != 0) {
    refuse_misaligned(memory, argument);
  }
}

// Work that a producer has put on its own stream must be over before ours reads the memory. Stream 1 is another name of
// the default stream 0 in every protocol.
void wait_for_producer(int device_index, std::uintptr_t consumer, std::uintptr_t producer) {
#ifdef PPF_WITH_CUDA
  const std::uintptr_t ours = consumer == 1 ? 0 : consumer, theirs = producer == 1 ? 0 : producer;
  if (ours != theirs) kernels::wait_for_stream(device_index, consumer, producer);
#else
  (void)device_index, (void)consumer,
      (void)producer;  // this build refuses the array as soon as an op looks where it is
#endif
}

// ---- buffer protocol -----------------------------------------------------------------------------------------------

// numpy.ma inherits the buffer of its data, so that a masked sample would be read as if it were valid.
bool is_masked(py::handle object) {
  PyObject* const bases = Py_TYPE(object.ptr())->tp_mro;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(bases); ++i) {
    const auto* base = reinterpret_cast<PyTypeObject*>(PyTuple_GET_ITEM(bases, i));
    if (std::strcmp(base->tp_name, "MaskedArray") == 0) return true;
    if (std::strcmp(base->tp_name, "numpy.ndarray") == 0) return false;
  }
  return false;
}

// Null, with Python's error set, when the object has no buffer to give.
std::unique_ptr<Owner> take_buffer(py::handle object, const std::string& argument, Memory& memory) {
  if (is_masked(object)) {
    throw InputTypeError(argument, "an array without a mask", type_name(object), "call its `filled()` first");
  }
  auto held = std::make_unique<BufferOwner>();
  const Py_buffer& buffer = held->buffer;
  if (PyObject_GetBuffer(object.ptr(), &held->buffer, PyBUF_RECORDS_RO) != 0) return nullptr;
  memory.data = buffer.buf;
  memory.dtype = dtype_of(element_of_format(buffer.format, buffer.itemsize), argument);
  memory.read_only = buffer.readonly != 0;
  set_rank(memory, buffer.ndim, argument);
  if (buffer.shape != nullptr) {
    std::copy_n(buffer.shape, memory.rank, memory.shape);
  } else if (memory.rank > 0) {
    throw InputTypeError(argument, kAccepted, type_name(object) + ", whose buffer has no shape");
  }
  set_c_strides(memory);
  if (buffer.strides != nullptr) {  // ctypes leaves them out although asked
    for (int axis = 0; axis < memory.rank; ++axis) set_byte_stride(memory, axis, buffer.strides[axis], argument);
  }
  return held;
}

// ---- NumPy ---------------------------------------------------------------------------------------------------------

// Reads NumPy's own arrays where their facts lie: their buffer says the same several times as slowly, which counts in a
// small call. Null, with nothing raised, for every other object, and for element types that the buffer has to name.
std::unique_ptr<Owner> take_ndarray(py::handle object, const std::string& argument, Memory& memory) {
  const auto& numpy = py::detail::npy_api::get();
  if (Py_TYPE(object.ptr()) != numpy.PyArray_Type_) return nullptr;
  const auto* const array = py::detail::array_proxy(object.ptr());
  const auto* const element = py::detail::array_descriptor_proxy(array->descr);
  const std::optional<DType> dtype = dtype_of_numpy(element->type_num);
  if (!dtype || (element->byteorder != '=' && element->byteorder != '|')) return nullptr;
  memory.data = array->data;
  memory.dtype = *dtype;
  memory.read_only = (array->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) == 0;
  set_rank(memory, array->nd, argument);
  std::copy_n(array->dimensions, memory.rank, memory.shape);
  for (int axis = 0; axis < memory.rank; ++axis) set_byte_stride(memory, axis, array->strides[axis], argument);
  return std::make_unique<ReferenceOwner>(object);
}

// ---- Torch ---------------------------------------------------------------------------------------------------------

// The module, when the object is a tensor. A program that has a tensor has imported Torch: it is never imported here.
py::object torch_of(py::handle object) {
  static const Name kTorch("torch"), kTensor("Tensor");
  const py::handle module = PyDict_GetItemWithError(PyImport_GetModuleDict(), kTorch.object);
  if (!module) return {};
  const py::object tensor = get_if_there(module, kTensor);  // not there while another thread imports Torch
  if (!tensor || !PyType_Check(tensor.ptr())) return {};
  const bool is_tensor = PyType_IsSubtype(Py_TYPE(object.ptr()), reinterpret_cast<PyTypeObject*>(tensor.ptr())) != 0;
  return is_tensor ? py::reinterpret_borrow<py::object>(module) : py::object();
}

void take_sizes(py::handle sizes, int64_t (&out)[Memory::kMaxRank], int rank) {
  for (int axis = 0; axis < rank; ++axis) out[axis] = to_int64(own(PySequence_GetItem(sizes.ptr(), axis)));
}

// Torch's own `__dlpack__` says the same in 24 us; its attributes take 1.
void take_tensor(py::handle tensor, py::handle torch, const std::string& argument, Memory& memory) {
  static const Name kLayout("layout"), kStrided("strided"), kDtype("dtype"), kIsCpu("is_cpu"), kIsCuda("is_cuda"),
      kGetDevice("get_device"), kIsNegative("is_neg"), kShape("shape"), kStride("stride"), kDataPointer("data_ptr"),
      kDevice("device"), kC("_C"), kCurrentStream("_cuda_getCurrentRawStream");
  const py::object layout = get(tensor, kLayout);
  if (!layout.is(get(torch, kStrided))) {
    throw InputTypeError(argument, "a dense tensor", py::str(layout), "call its `to_dense()` first");
  }
  const std::string dtype = py::repr(get(tensor, kDtype));  // "torch.float32"
  const NamedElement* const known =
      std::find_if(std::begin(kElements), std::end(kElements),
                   [&](const NamedElement& element) { return dtype.compare(6, std::string::npos, element.name) == 0; });
  if (known == std::end(kElements)) refuse_element(argument, dtype);
  memory.dtype = static_cast<DType>(known - kElements);
  if (get(tensor, kIsCuda).ptr() == Py_True) {
    memory.device.kind = Device::kCuda;
    const py::object index = call(tensor, kGetDevice);
    memory.device.index = static_cast<int>(to_int64(index));
#ifdef PPF_WITH_CUDA
    const py::object raw = get_if_there(get(torch, kC), kCurrentStream);  // what Torch's own generated code calls
    const py::object current =
        raw ? raw(index) : py::object(torch.attr("cuda").attr("current_stream")(index).attr("cuda_stream"));
    wait_for_producer(memory.device.index, memory.device.stream, static_cast<std::uintptr_t>(to_int64(current)));
#endif
  } else if (get(tensor, kIsCpu).ptr() != Py_True) {
    throw InputTypeError(argument, "a tensor on the CPU or a CUDA device",
                         "one on " + std::string(py::str(get(tensor, kDevice))));
  }
  if (call(tensor, kIsNegative).ptr() == Py_True) {
    throw InputTypeError(argument, "a tensor whose memory is its values", "a lazily negated one",
                         "call its `resolve_neg()` first");
  }
  const py::object shape = get(tensor, kShape), stride = call(tensor, kStride);
  set_rank(memory, PySequence_Size(shape.ptr()), argument);
  take_sizes(shape, memory.shape, memory.rank);
  take_sizes(stride, memory.stride, memory.rank);
  memory.data = PyLong_AsVoidPtr(call(tensor, kDataPointer).ptr());
  if (PyErr_Occurred() != nullptr) throw py::error_already_set();
}

// ---- __cuda_array_interface__ (version 3) --------------------------------------------------------------------------

void take_cuda_interface(py::handle object, py::handle interface, const std::string& argument, Memory& memory) {
  static const Name kDlpackDevice("__dlpack_device__");
  const auto fields = interface.cast<py::dict>();
  const auto entry = [&](const char* key) -> py::object {
    return fields.contains(key) ? py::object(fields[key]) : py::none();
  };
  if (!entry("mask").is_none()) {
    throw InputTypeError(argument, "an array without a mask", "a masked " + type_name(object));
  }
  memory.dtype = dtype_of(element_of_typestr(entry("typestr").cast<std::string>()), argument);
  const auto shape = entry("shape").cast<py::sequence>();
  set_rank(memory, static_cast<int64_t>(shape.size()), argument);
  take_sizes(shape, memory.shape, memory.rank);
  set_c_strides(memory);
  if (const py::object strides = entry("strides"); !strides.is_none()) {
    int64_t bytes[Memory::kMaxRank] = {};
    take_sizes(strides, bytes, memory.rank);
    for (int axis = 0; axis < memory.rank; ++axis) set_byte_stride(memory, axis, bytes[axis], argument);
  }
  const auto data = entry("data").cast<py::tuple>();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the protocol gives addresses as numbers
  memory.data = reinterpret_cast<void*>(data[0].cast<std::uintptr_t>());
  memory.read_only = data[1].cast<bool>();
  memory.device.kind = Device::kCuda;
  // The interface does not say which device: objects that also speak DLPack do.
  if (const py::object device = get_if_there(object, kDlpackDevice)) {
    memory.device.index = device().cast<py::tuple>()[1].cast<int>();
  }
  if (const py::object stream = entry("stream"); !stream.is_none()) {
    const auto producer = stream.cast<std::uintptr_t>();
    if (producer == 0) throw InputError(argument, "a stream of 1 (default), 2 (per thread) or a handle", "stream 0");
    wait_for_producer(memory.device.index, memory.device.stream, producer);
  }
}

// ---- DLPack --------------------------------------------------------------------------------------------------------

void take_device(const dlpack::Device& device, const std::string& argument, Memory& memory) {
  switch (device.type) {
    case dlpack::kCpu:
    case dlpack::kCudaHost:
      memory.device.kind = Device::kCpu;
      memory.device.index = 0;
      return;
    case dlpack::kCuda:
    case dlpack::kCudaManaged:
      memory.device.kind = Device::kCuda;
      memory.device.index = device.index;
      return;
    default:
      throw InputTypeError(argument, "an array on the CPU or a CUDA device",
                           "one on DLPack device type " + std::to_string(device.type));
  }
}

void take_dltensor(const dlpack::Tensor& tensor, const std::string& argument, Memory& memory) {
  if (tensor.dtype.lanes != 1) {
    refuse_element(argument, "vectors of " + std::to_string(tensor.dtype.lanes) + " numbers");
  }
  memory.dtype = dtype_of(element_of(tensor.dtype), argument);
  take_device(tensor.device, argument, memory);
  set_rank(memory, tensor.rank, argument);
  if (memory.rank > 0 && tensor.shape == nullptr) throw InputTypeError(argument, "a DLPack tensor", "one of no shape");
  std::copy_n(tensor.shape, memory.rank, memory.shape);
  set_c_strides(memory);
  if (tensor.strides != nullptr) std::copy_n(tensor.strides, memory.rank, memory.stride);
  if (tensor.data != nullptr) memory.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
}

template <class Managed>
Managed* open_capsule(py::handle capsule) {
  if (!PyCapsule_IsValid(capsule.ptr(), Managed::kName)) return nullptr;
  return static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), Managed::kName));
}

// From the renaming on, the deleter is ours to call. Until then it is the capsule's, so whatever is refused before, and
// whatever throws, frees the tensor once and by itself.
template <class Managed>
std::unique_ptr<Owner> consume(py::handle capsule, Managed* managed) {
  auto owner = std::make_unique<CapsuleOwner<Managed>>();
  if (PyCapsule_SetName(capsule.ptr(), Managed::kUsedName) != 0) throw py::error_already_set();
  owner->managed = managed;
  return owner;
}

std::unique_ptr<Owner> take_capsule(py::handle capsule, const std::string& argument, Memory& memory) {
  if (auto* const versioned = open_capsule<dlpack::ManagedTensorVersioned>(capsule)) {
    if (versioned->major != versioned->kMajor) {
      throw InputTypeError(argument, "DLPack 1", "DLPack " + std::to_string(versioned->major));
    }
    take_dltensor(versioned->tensor, argument, memory);
    // What is written into a copy never reaches the caller's array.
    memory.read_only = (versioned->flags & (dlpack::kReadOnlyFlag | dlpack::kCopiedFlag)) != 0;
    check_memory(memory, argument);
    return consume(capsule, versioned);
  }
  if (auto* const plain = open_capsule<dlpack::ManagedTensor>(capsule)) {
    take_dltensor(plain->tensor, argument, memory);
    check_memory(memory, argument);
    return consume(capsule, plain);
  }
  const char* const name = PyCapsule_CheckExact(capsule.ptr()) ? PyCapsule_GetName(capsule.ptr()) : nullptr;
  PyErr_Clear();
  throw InputTypeError(argument, "a DLPack capsule that nobody has consumed",
                       name != nullptr ? "`" + std::string(name) + "`" : type_name(capsule));
}

std::unique_ptr<Owner> take_dlpack(py::handle object, const py::object& method, const std::string& argument,
                                   Memory& memory) {
  const auto where = object.attr("__dlpack_device__")().cast<py::tuple>();
  take_device({where[0].cast<int32_t>(), where[1].cast<int32_t>()}, argument, memory);
  py::dict options;
  // None would make the producer wait for the default stream only; 0 is forbidden, since it could mean two streams.
  if (memory.device.kind == Device::kCuda) options["stream"] = memory.device.stream == 0 ? 1 : memory.device.stream;
  py::object capsule;
  try {
    capsule = method(**options, py::arg("max_version") = py::make_tuple(1, 0));
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_TypeError)) throw;  // producers from before DLPack 1.0 do not know the keyword
    capsule = method(**options);
  }
  return take_capsule(capsule, argument, memory);
}

// ---- order of the protocols ----------------------------------------------------------------------------------------

// An interrupt, or no memory left: says nothing about the array that was looked at when it came.
bool is_unrelated(const py::error_already_set& error) {
  return !error.matches(PyExc_Exception) || error.matches(PyExc_MemoryError);
}

// What another library's code raised.
[[noreturn]] void refuse_foreign(const py::error_already_set& error, py::handle object, const std::string& argument) {
  if (is_unrelated(error)) throw error;
  std::string reason = type_name(error.value());
  const py::object text = py::reinterpret_steal<py::object>(PyObject_Str(error.value().ptr()));
  if (const char* const utf8 = text ? PyUnicode_AsUTF8(text.ptr()) : nullptr) reason += ": " + std::string(utf8);
  PyErr_Clear();
  throw InputTypeError(argument, kAccepted, type_name(object) + ", which raised " + reason);
}

std::unique_ptr<Owner> take(py::handle object, const std::string& argument, Memory& memory) {
  static const Name kCudaInterface("__cuda_array_interface__"), kDlpack("__dlpack__");
  if (std::unique_ptr<Owner> owner = take_ndarray(object, argument, memory)) return owner;
  std::optional<py::error_already_set> refusal;  // of the buffer: a device array may still speak another protocol
  if (PyObject_CheckBuffer(object.ptr()) != 0) {
    if (std::unique_ptr<Owner> owner = take_buffer(object, argument, memory)) return owner;
    refusal.emplace();
    if (is_unrelated(*refusal)) throw *refusal;
  } else if (const py::object torch = torch_of(object)) {
    take_tensor(object, torch, argument, memory);
    return std::make_unique<ReferenceOwner>(object);
  }
  // A class has the attributes of its instances, but not their values.
  if (!PyType_Check(object.ptr())) {
    if (const py::object interface = get_if_there(object, kCudaInterface)) {
      take_cuda_interface(object, interface, argument, memory);
      return std::make_unique<ReferenceOwner>(object);
    }
    if (const py::object method = get_if_there(object, kDlpack)) return take_dlpack(object, method, argument, memory);
  }
  if (refusal) throw *refusal;
  throw InputTypeError(argument, kAccepted, type_name(object), "make one with `numpy.asarray`");
}

}  // namespace

std::unique_ptr<Owner> import_array(py::handle object, const std::string& argument, Memory& memory) {
  try {
    std::unique_ptr<Owner> owner = take(object, argument, memory);
    check_memory(memory, argument);
    return owner;
  } catch (const py::error_already_set& error) {
    refuse_foreign(error, object, argument);
  } catch (const py::builtin_exception&) {  // of pybind11 itself: an entry of another type than promised
    throw InputTypeError(argument, kAccepted, type_name(object) + " with a malformed array interface");
  }
}

}  // namespace ppf::bindings
