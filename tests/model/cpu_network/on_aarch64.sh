#!/bin/sh
# Whether networks give the same bytes on aarch64 (NEON, under qemu) as here: builds network_digests
# for both and compares what they print. By hand: it needs another architecture's packages,
#
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install g++-aarch64-linux-gnu qemu-user
#   tests/model/cpu_network/on_aarch64.sh
set -eu
cd "$(dirname "$0")/../../.."

out=build/aarch64
mkdir -p "$out/packages"
for package in libabsl-dev libhwy-dev libhwy1; do
  [ -n "$(find "$out/packages" -name "${package}_*.deb")" ] ||
    (cd "$out/packages" && apt-get download -q "$package:arm64")
done
for deb in "$out"/packages/*.deb; do
  dpkg -x "$deb" "$out/sysroot"
done

sources="$(ls model/cpu_network/*.cc)
  model/checkpoint/check_tensors.cc model/checkpoint/tensor_view.cc model/files/file_status.cc
  model/process/printable_text.cc model/sampling/lane_pool.cc model/sampling/row_noise.cc
  tests/model/cpu_network/network_digests.cc"
targets='~(HWY_AVX2|HWY_AVX3|HWY_NEON|HWY_EMU128|HWY_SCALAR)'

# digests COMPILER OBJECTS LIBRARIES FLAGS...: builds the program OBJECTS/network_digests.
digests() {
  compiler=$1 objects=$2 libraries=$3
  shift 3
  mkdir -p "$objects"
  for source in $sources; do
    "$compiler" -std=c++20 -O3 -ffp-contract=off "-DHWY_DISABLED_TARGETS=$targets" -I. "$@" \
      -c "$source" -o "$objects/$(basename "$source" .cc).o"
  done
  "$compiler" "$objects"/*.o -o "$objects/network_digests" \
    -Wl,--start-group "$libraries"/libabsl_*.a -Wl,--end-group "-L$libraries" -lhwy -lpthread
}
digests g++ "$out/here" "/usr/lib/$(gcc -print-multiarch)"
digests aarch64-linux-gnu-g++ "$out/there" "$out/sysroot/usr/lib/aarch64-linux-gnu" \
  -isystem "$out/sysroot/usr/include"

"$out/here/network_digests" >"$out/here.txt"
qemu-aarch64 -L /usr/aarch64-linux-gnu -E "LD_LIBRARY_PATH=$out/sysroot/usr/lib/aarch64-linux-gnu" \
  "$out/there/network_digests" >"$out/there.txt"
diff "$out/here.txt" "$out/there.txt"
cat "$out/there.txt"
echo "the same on both"
