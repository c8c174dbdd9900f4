#include "model/unet/winograd.h"

#ifdef DIFFUSIOND_WITH_ONEDNN
#include <compare>
#include <dnnl.hpp>
#include <initializer_list>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#endif

namespace diffusiond {

#ifdef DIFFUSIOND_WITH_ONEDNN
namespace {

using Memory = dnnl::memory;

struct Shape {
  int64_t rows = 0, in = 0, out = 0, height = 0, width = 0;
  int threads = 1;  // oneDNN lays a primitive's work out for that many.

  friend auto operator<=>(const Shape&, const Shape&) = default;
};

const dnnl::engine& Engine() {
  static const auto& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

Memory::desc Describe(const Memory::dims& dims, Memory::format_tag tag) {
  return Memory::desc(dims, Memory::data_type::f32, tag);
}

dnnl::primitive_attr ScratchIsGiven() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

// A thread's memory for one primitive at a time. What it hands out is valid until Reset.
class Workspace {
 public:
  void Reset(std::initializer_list<size_t> sizes) {
    size_t total = 0;
    for (const size_t size : sizes) total += Rounded(size);
    if (static_cast<size_t>(memory_.numel()) < total) {
      memory_ = torch::empty({static_cast<int64_t>(total)}, torch::kUInt8);
    }
    used_ = 0;
  }
  void* Take(size_t size) {
    void* const taken = memory_.data_ptr<uint8_t>() + used_;
    used_ += Rounded(size);
    return taken;
  }

 private:
  static size_t Rounded(size_t size) { return (size + 63) / 64 * 64; }

  torch::Tensor memory_ = torch::empty({0}, torch::kUInt8);
  size_t used_ = 0;
};

// A tensor of the caller's in PyTorch's layout, and the layout that the primitive wants.
struct Operand {
  Operand(const Memory::desc& plain, const Memory::desc& wanted, bool is_output)
      : plain(plain),
        wanted(wanted),
        reorder(dnnl::reorder::primitive_desc(Engine(), is_output ? wanted : plain, Engine(),
                                              is_output ? plain : wanted)) {}
  size_t size() const { return wanted.get_size(); }

  Memory::desc plain, wanted;
  dnnl::reorder reorder;
};

// One primitive with two inputs and one output.
class Convolution {
 public:
  template <typename Descriptor>
  Convolution(const Descriptor& descriptor, std::pair<int, Operand> first,
              std::pair<int, Operand> second, std::pair<int, Operand> output)
      : primitive_(descriptor),
        scratch_(descriptor.scratchpad_desc()),
        first_(std::move(first)),
        second_(std::move(second)),
        output_(std::move(output)) {}

  // `bias` may be null.
  void Run(const float* first, const float* second, const float* bias, int64_t bias_size,
           float* output) {
    static thread_local Workspace workspace;
    static thread_local dnnl::stream stream(Engine());
    workspace.Reset(
        {first_.second.size(), second_.second.size(), output_.second.size(), scratch_.get_size()});
    const auto wanted = [](const Operand& operand) {
      return Memory(operand.wanted, Engine(), workspace.Take(operand.size()));
    };
    const auto plain = [](const Operand& operand, const float* data) {
      return Memory(operand.plain, Engine(), const_cast<float*>(data));
    };
    Memory a = wanted(first_.second), b = wanted(second_.second), c = wanted(output_.second);
    Memory from_a = plain(first_.second, first), from_b = plain(second_.second, second);
    Memory to_c = plain(output_.second, output);
    Memory scratch(scratch_, Engine(), workspace.Take(scratch_.get_size()));
    first_.second.reorder.execute(stream, from_a, a);
    second_.second.reorder.execute(stream, from_b, b);
    std::unordered_map<int, Memory> arguments = {
        {first_.first, a}, {second_.first, b}, {output_.first, c}, {DNNL_ARG_SCRATCHPAD, scratch}};
    if (bias != nullptr) {
      arguments[DNNL_ARG_BIAS] =
          Memory(Describe({bias_size}, Memory::format_tag::x), Engine(), const_cast<float*>(bias));
    }
    primitive_.execute(stream, arguments);
    output_.second.reorder.execute(stream, c, to_c);
    stream.wait();
  }

 private:
  dnnl::primitive primitive_;
  Memory::desc scratch_;
  std::pair<int, Operand> first_, second_, output_;
};

constexpr auto kWinograd = dnnl::algorithm::convolution_winograd;

// The three convolutions of one shape. The constructor throws dnnl::error where there are none.
class Convolutions {
 public:
  explicit Convolutions(const Shape& shape)
      : x_({shape.rows, shape.in, shape.height, shape.width}),
        weight_({shape.out, shape.in, 3, 3}),
        y_({shape.rows, shape.out, shape.height, shape.width}),
        forward_descriptor_(dnnl::convolution_forward::desc(
                                dnnl::prop_kind::forward_training, kWinograd, Any(x_), Any(weight_),
                                Any({shape.out}), Any(y_), {1, 1}, {1, 1}, {1, 1}),
                            ScratchIsGiven(), Engine()),
        forward_(forward_descriptor_, In(DNNL_ARG_SRC, x_, forward_descriptor_.src_desc()),
                 In(DNNL_ARG_WEIGHTS, weight_, forward_descriptor_.weights_desc()),
                 Out(DNNL_ARG_DST, y_, forward_descriptor_.dst_desc())) {}

  Convolution& forward() { return forward_; }

  // (gradient of y, weight) -> gradient of x.
  Convolution& backward_data() {
    if (backward_data_ == nullptr) {
      const dnnl::convolution_backward_data::primitive_desc descriptor(
          dnnl::convolution_backward_data::desc(kWinograd, Any(x_), Any(weight_), Any(y_), {1, 1},
                                                {1, 1}, {1, 1}),
          ScratchIsGiven(), Engine(), forward_descriptor_);
      backward_data_ = std::make_unique<Convolution>(
          descriptor, In(DNNL_ARG_DIFF_DST, y_, descriptor.diff_dst_desc()),
          In(DNNL_ARG_WEIGHTS, weight_, descriptor.weights_desc()),
          Out(DNNL_ARG_DIFF_SRC, x_, descriptor.diff_src_desc()));
    }
    return *backward_data_;
  }

  // (x, gradient of y) -> gradient of weight.
  Convolution& backward_weights() {
    if (backward_weights_ == nullptr) {
      const dnnl::convolution_backward_weights::primitive_desc descriptor(
          dnnl::convolution_backward_weights::desc(kWinograd, Any(x_), Any(weight_), Any(y_),
                                                   {1, 1}, {1, 1}, {1, 1}),
          ScratchIsGiven(), Engine(), forward_descriptor_);
      backward_weights_ = std::make_unique<Convolution>(
          descriptor, In(DNNL_ARG_SRC, x_, descriptor.src_desc()),
          In(DNNL_ARG_DIFF_DST, y_, descriptor.diff_dst_desc()),
          Out(DNNL_ARG_DIFF_WEIGHTS, weight_, descriptor.diff_weights_desc()));
    }
    return *backward_weights_;
  }

 private:
  static Memory::desc Any(const Memory::dims& dims) {
    return Describe(dims, Memory::format_tag::any);
  }
  // PyTorch's layouts: dimensions in order.
  static Memory::desc Plain(const Memory::dims& dims) {
    return Describe(dims, Memory::format_tag::abcd);
  }
  static std::pair<int, Operand> In(int argument, const Memory::dims& dims,
                                    const Memory::desc& wanted) {
    return {argument, Operand(Plain(dims), wanted, /*is_output=*/false)};
  }
  static std::pair<int, Operand> Out(int argument, const Memory::dims& dims,
                                     const Memory::desc& wanted) {
    return {argument, Operand(Plain(dims), wanted, /*is_output=*/true)};
  }

  Memory::dims x_, weight_, y_;
  dnnl::convolution_forward::primitive_desc forward_descriptor_;
  Convolution forward_;
  std::unique_ptr<Convolution> backward_data_, backward_weights_;
};

// This thread's; null where oneDNN has none for the shape. A network has a few dozen shapes.
Convolutions* ConvolutionsOf(const Shape& shape) {
  constexpr size_t kMaxShapes = 512;
  static thread_local std::map<Shape, std::unique_ptr<Convolutions>> cache;
  const auto found = cache.find(shape);
  if (found != cache.end()) return found->second.get();
  if (cache.size() >= kMaxShapes) cache.clear();
  std::unique_ptr<Convolutions>& made = cache[shape];
  try {
    made = std::make_unique<Convolutions>(shape);
    made->backward_data();
    made->backward_weights();
  } catch (const dnnl::error&) {
    made = nullptr;
  }
  return made.get();
}

Shape ShapeOf(const torch::Tensor& x, const torch::Tensor& weight) {
  return {.rows = x.size(0),
          .in = x.size(1),
          .out = weight.size(0),
          .height = x.size(2),
          .width = x.size(3),
          .threads = at::get_num_threads()};
}

torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& weight,
                      const torch::Tensor& bias) {
  const torch::Tensor in = x.contiguous(), kernel = weight.contiguous(), offset = bias.contiguous();
  torch::Tensor y = torch::empty({x.size(0), weight.size(0), x.size(2), x.size(3)}, x.options());
  ConvolutionsOf(ShapeOf(x, weight))
      ->forward()
      .Run(in.data_ptr<float>(), kernel.data_ptr<float>(), offset.data_ptr<float>(), weight.size(0),
           y.data_ptr<float>());
  return y;
}

class WinogradFunction : public torch::autograd::Function<WinogradFunction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias) {
    context->save_for_backward({x, weight});
    return Forward(x, weight, bias);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor x = saved[0].contiguous(), weight = saved[1].contiguous();
    const torch::Tensor gradient = gradients[0].contiguous();
    Convolutions* const found = ConvolutionsOf(ShapeOf(x, weight));
    TORCH_CHECK(found != nullptr, "no Winograd convolution backward where there was one forward");
    Convolutions& convolutions = *found;
    torch::Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0)) {
      of_x = torch::empty_like(x);
      convolutions.backward_data().Run(gradient.data_ptr<float>(), weight.data_ptr<float>(),
                                       nullptr, 0, of_x.data_ptr<float>());
    }
    if (context->needs_input_grad(1)) {
      of_weight = torch::empty_like(weight);
      convolutions.backward_weights().Run(x.data_ptr<float>(), gradient.data_ptr<float>(), nullptr,
                                          0, of_weight.data_ptr<float>());
    }
    if (context->needs_input_grad(2)) of_bias = gradient.sum({0, 2, 3});
    return {of_x, of_weight, of_bias};
  }
};

}  // namespace

bool HasWinograd() {
  static const bool has = [] {
    try {
      Convolutions(Shape{.rows = 2, .in = 16, .out = 16, .height = 16, .width = 16});
      return true;
    } catch (const dnnl::error&) {
      return false;
    }
  }();
  return has;
}

torch::Tensor WinogradConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias) {
  if (ConvolutionsOf(ShapeOf(x, weight)) == nullptr) return torch::conv2d(x, weight, bias, 1, 1);
  const bool wants_gradient = torch::GradMode::is_enabled() &&
                              (x.requires_grad() || weight.requires_grad() || bias.requires_grad());
  return wants_gradient ? WinogradFunction::apply(x, weight, bias) : Forward(x, weight, bias);
}

#else

bool HasWinograd() { return false; }

torch::Tensor WinogradConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias) {
  return torch::conv2d(x, weight, bias, 1, 1);
}

#endif

bool SuitsWinograd(const torch::Tensor& x, const torch::Tensor& weight) {
  constexpr int64_t kBlock = 16;  // Channels in a vector register.
  if (!HasWinograd() || !x.device().is_cpu() || x.scalar_type() != torch::kFloat32 ||
      weight.scalar_type() != torch::kFloat32 || weight.size(2) != 3 || weight.size(3) != 3) {
    return false;
  }
  const int64_t tiles = x.size(0) * ((x.size(2) + 3) / 4) * ((x.size(3) + 3) / 4);
  return weight.size(0) % kBlock == 0 && weight.size(1) % kBlock == 0 &&
         tiles >= kFewestWinogradTiles;
}

}  // namespace diffusiond
