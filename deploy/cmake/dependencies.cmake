# Every library that the project uses, found once. README's table says what each is for.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp)

# The presets tsan and clang build what runs without LibTorch, which is all that has locks: the thread
# sanitizer cannot see inside it, and clang 14 does not compile LibTorch 1.13's headers as C++20.
if(DIFFUSIOND_WITH_TORCH)
  # LibTorch's own flags stay on its imported target; it must not decide ours.
  set(diffusiond_saved_cxx_flags "${CMAKE_CXX_FLAGS}")
  find_package(Torch 1.13 REQUIRED)
  set(CMAKE_CXX_FLAGS "${diffusiond_saved_cxx_flags}")
  # The default, said again: what is compiled with it cannot use a header precompiled without.
  get_target_property(diffusiond_torch_options torch INTERFACE_COMPILE_OPTIONS)
  if(diffusiond_torch_options STREQUAL "-D_GLIBCXX_USE_CXX11_ABI=1")
    set_property(TARGET torch PROPERTY INTERFACE_COMPILE_OPTIONS "")
  endif()
  find_package(OpenMP REQUIRED COMPONENTS CXX)  # Whose threads are LibTorch's as well.
endif()

if(DIFFUSIOND_BUILD_SERVER)
  find_package(Protobuf REQUIRED)
  find_package(gRPC REQUIRED)
  find_package(prometheus-cpp REQUIRED)
  find_package(CURL REQUIRED)
  # Not by find_package: whose 1.74 of Debian wants components' libraries, and headers are all we use.
  find_path(DIFFUSIOND_BOOST_DIR boost/beast/http/basic_parser.hpp REQUIRED)
  find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)
  # Debian's grpc-proto ships health.proto; the server links its descriptor so that reflection can
  # describe the health service.
  find_path(GRPC_PROTO_DIR grpc/health/v1/health.proto PATHS /usr/share/grpc-proto REQUIRED)
endif()

if(DIFFUSIOND_BUILD_TESTS)
  find_package(GTest REQUIRED)
  # Debian's interpreter has Debian's modules; one that comes first in PATH may not.
  find_program(DIFFUSIOND_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
  find_program(DIFFUSIOND_PYTHON python3 REQUIRED)
  # The layout test reads what is built from it.
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()
