#!/bin/sh
# Installs what is missing, builds, and runs every test; ctest's summary comes last.
#
#   tests/run.sh [--preset=dev|release|asan|asan-without-torch|tsan|clang] [--suite=LABEL]
#                [--match=REGEX] [--no-install] [--build-only]
#
#   --preset      how to build (CMakePresets.json). Default dev. tsan, clang and asan-without-torch
#                 build and run what does not need LibTorch: the thread sanitizer cannot look into
#                 it, clang 14 cannot read its headers, and both take long to compile them.
#   --suite       only the tests with this label: engine, rpc, client, ...; `--suite=list` lists them
#   --match       only the tests whose name matches
#   --no-install  do not look for missing packages
#   --build-only  build everything, run nothing
set -eu
cd "$(dirname "$0")/.."

fail() {
  echo "tests/run.sh: $*" >&2
  exit 2
}

preset=dev
suite=
match=
install=yes
run=yes
for argument in "$@"; do
  case "$argument" in
    --preset=*) preset="${argument#*=}" ;;
    --suite=*) suite="${argument#*=}" ;;
    --match=*) match="${argument#*=}" ;;
    --no-install) install= ;;
    --build-only) run= ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    *) fail "unknown option $argument; try --help" ;;
  esac
done
case "$preset" in
  dev | release | asan | asan-without-torch | tsan | clang) ;;
  *) fail "--preset is '$preset', expected dev, release, asan, asan-without-torch, tsan or clang" ;;
esac

timings=
started=$(date +%s)
# phase_ends NAME: notes how long the phase took, and starts the next one.
phase_ends() {
  now=$(date +%s)
  timings="$timings $1 $((now - started)) s,"
  started=$now
}

# Objects made in one checkout are then good in another one.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=true

if [ -n "$install" ]; then
  deploy/install_packages.sh build test
  phase_ends install
fi
# Configuring prints pages; they matter only when it fails.
mkdir -p build
log="build/configure-$preset.log"
echo "+ cmake --preset $preset (log: $log)"
if ! cmake --preset "$preset" -DDIFFUSIOND_BUILD_TESTS=ON >"$log" 2>&1; then
  tail -40 "$log" >&2
  fail "configuring failed"
fi
phase_ends configure
echo "+ cmake --build build/$preset"
cmake --build "build/$preset"
phase_ends build
echo "tests/run.sh: preset $preset:${timings%,}"
[ -n "$run" ] || exit 0

if [ "$suite" = list ]; then
  exec ctest --test-dir "build/$preset" --print-labels
fi
# The thread sanitizer does not see what gRPC and OpenSSL order, built without it, and on a busy
# machine now and then calls that a race. A real one comes again; both runs are in the output.
again=
if [ "$preset" = tsan ]; then again="--repeat until-pass:2"; fi
# No test measures time, so they may share the cores.
# shellcheck disable=SC2086 # Two words or none.
exec ctest --test-dir "build/$preset" --output-on-failure --no-tests=error \
  --parallel "$(nproc)" --timeout 300 $again \
  ${suite:+-L "^$suite\$"} ${match:+-R "$match"}
