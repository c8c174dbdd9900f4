#!/bin/sh
# On a machine with a GPU, in one go: builds model/ alone against the LibTorch there (a PyTorch
# wheel's will do, from 2.7 on: older ones have another C++ ABI than the libraries), runs its tests,
# those of the GPU too, and measures training beside PyTorch's. With CIFAR-10 it also trains by the
# recipe for some steps, and measures and draws.
#
#   tests/benchmarks/training/on_gpu.sh [--prefix=DIR] [--cifar10=DIR] [--steps=N] [--out=DIR]
#
#   --prefix   where other libraries are (unpacked -dev packages: DIR/usr/...)
#   --cifar10  cifar-10-batches-bin; without, no such run
#   --steps    of that run. Default 5000
#   --out      receives log, samples and numbers. Default build/gpu-results
set -eu
cd "$(dirname "$0")/../../.."

prefix=
cifar10=
steps=5000
out=build/gpu-results
for argument in "$@"; do
  case "$argument" in
    --prefix=*) prefix="${argument#*=}" ;;
    --cifar10=*) cifar10="${argument#*=}" ;;
    --steps=*) steps="${argument#*=}" ;;
    --out=*) out="${argument#*=}" ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    *)
      echo "on_gpu.sh: unknown option $argument; try --help" >&2
      exit 2
      ;;
  esac
done
python="$(command -v python3)"
if [ -n "$prefix" ]; then
  prefix="$(cd "$prefix" && pwd)"
  export LD_LIBRARY_PATH="$prefix/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  export PKG_CONFIG_SYSROOT_DIR="$prefix"
  export PKG_CONFIG_PATH="$prefix/usr/lib/x86_64-linux-gnu/pkgconfig:$prefix/usr/share/pkgconfig"
fi
torch="$("$python" -c 'import torch; print(torch.utils.cmake_prefix_path)' 2>/dev/null || true)"
mkdir -p "$out"

echo "+ configure, build"
cmake -S . -B build/gpu -G Ninja -DDIFFUSIOND_BUILD_SERVER=OFF \
  -DDIFFUSIOND_BUILD_TESTS=ON -DCMAKE_PREFIX_PATH="${torch:+$torch;}${prefix:+$prefix/usr}" \
  >"$out/configure.log" 2>&1 || { tail -40 "$out/configure.log"; exit 1; }
cmake --build build/gpu >"$out/build.log" 2>&1 || { tail -40 "$out/build.log"; exit 1; }
bin=build/gpu/bin

echo "+ tests"
failed=
"$bin/cuda_training_test" >"$out/cuda_training_test.log" || failed="$failed cuda_training_test"
cat "$out/cuda_training_test.log"
ctest --test-dir build/gpu -L model --parallel "$(nproc)" --timeout 300 >"$out/ctest.log" ||
  failed="$failed ctest"
tail -15 "$out/ctest.log"

echo "+ training beside PyTorch"
tests/benchmarks/training/training_benchmark.py --binary="$bin/diffusion-train" \
  --python="$python" --device=cuda --settings=32:128:100,128:128:50 >"$out/benchmark.txt" ||
  failed="$failed training_benchmark"
cat "$out/benchmark.txt"

if [ -n "$cifar10" ]; then
  echo "+ CIFAR-10"
  "$bin/diffusion-train" --flagfile=model/training/recipes/cifar10.flags --data="$cifar10" \
    --out="$out/cifar10" --device=cuda --bf16 --channels_last --cuda_graph --steps="$steps" \
    --warmup_steps=500 --variance_type=fixed_small --save_every=0 --save_every_minutes=5 \
    --sample_every="$steps" --log_every=100 --eval_every=500 >"$out/cifar10.txt" &&
    "$bin/diffusion-eval" bpd --checkpoint="$out/cifar10/checkpoint" --data="$cifar10" \
      --out="$out/bpd" --device=cuda --micro_batch=128 --images=500 >"$out/bpd.txt" ||
    failed="$failed cifar10"
  tail -5 "$out/cifar10.txt"
  cat "$out/bpd.txt" 2>/dev/null || true
fi
[ -z "$failed" ] || { echo "on_gpu.sh: failed:$failed" >&2; exit 1; }
