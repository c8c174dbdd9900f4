# Every library that the project uses, found once. README's table says what each is for.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(PkgConfig REQUIRED)
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
  # For Winograd convolutions: the oneDNN 2.x that Debian's LibTorch runs on. LibTorch 2.x brings its
  # own, beside which another will not do, and 3.x has none; there convolutions are LibTorch's.
  if(Torch_VERSION VERSION_LESS 2)
    find_library(DIFFUSIOND_ONEDNN_LIBRARY dnnl)
    find_path(DIFFUSIOND_ONEDNN_INCLUDE dnnl.hpp)
    if(NOT DIFFUSIOND_ONEDNN_LIBRARY OR NOT DIFFUSIOND_ONEDNN_INCLUDE)
      message(STATUS "without oneDNN's headers (libdnnl-dev): no Winograd convolutions")
      set(DIFFUSIOND_ONEDNN_LIBRARY "")
    endif()
  endif()
endif()

if(DIFFUSIOND_BUILD_SERVER)
  find_package(Protobuf REQUIRED)
  find_package(gRPC REQUIRED)
  find_package(prometheus-cpp REQUIRED)
  pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
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
