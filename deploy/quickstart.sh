#!/bin/bash
# From a fresh Debian 12 to images being drawn in this terminal:
#
#   deploy/quickstart.sh [--keep] [--class=NAME]
#
# Installs the packages that are missing (as root or with sudo), builds server and client, starts
# the server on loopback with the models that this repository ships, draws images with live previews
# and writes them as one PNG sheet. Then it builds the other programs, which train, measure and
# publish. --keep leaves the server running. A second run only builds what changed.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=
class=sneaker
for argument in "$@"; do
  case "$argument" in
    --keep) keep=yes ;;
    --class=*) class="${argument#*=}" ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"
      exit 0
      ;;
    *)
      echo "quickstart: unknown option $argument; try --help" >&2
      exit 2
      ;;
  esac
done

say() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
fail() {
  echo "quickstart: $*" >&2
  exit 1
}

# free_port FIRST: the first port from FIRST on that nobody on loopback answers at.
free_port() {
  local port
  for ((port = $1; port < $1 + 100; port++)); do
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  fail "no free port from $1 to $((port - 1))"
}

out=build/quickstart
bin=build/release/bin
mkdir -p "$out"

say "Packages"
deploy/install_packages.sh build || fail "the packages could not be installed (see above)"

# build TARGET...
build() { cmake --build build/release --target "$@" || fail "the build failed (see above)"; }

say "Build server and client (log: $out/configure.log)"
if [ ! -f build/release/build.ninja ]; then
  cmake --preset release -DDIFFUSIOND_BUILD_TESTS=OFF >"$out/configure.log" 2>&1 ||
    { tail -20 "$out/configure.log"; fail "configuring failed (see above)"; }
fi
build diffusiond diffusionctl

address="127.0.0.1:$(free_port 50051)"
metrics="127.0.0.1:$(free_port 9464)"
http="127.0.0.1:$(free_port 8080)"
say "Server on $address, HTTP on http://$http (log: $out/server.log)"
# In a session of its own: Ctrl-C while the rest is built does not reach it.
setsid nohup "$bin/diffusiond" --model_repository=model/checkpoints --default_model=fashion-mnist \
  --listen="$address" --metrics_listen="$metrics" --http_listen="$http" >"$out/server.log" 2>&1 &
server=$!
stop_server() {
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
}
trap stop_server EXIT
# In short waits, so that a server that ended at once is not waited for.
for ((tries = 0; ; tries++)); do
  "$bin/diffusionctl" health --server="$address" --wait=1s >"$out/health.log" 2>&1 && break
  if ! kill -0 "$server" 2>/dev/null || ((tries == 60)); then
    tail -20 "$out/server.log" "$out/health.log"
    fail "the server does not serve (its log is above)"
  fi
done

say "Drawing: $class"
"$bin/diffusionctl" generate --server="$address" --class="$class" --count=8 \
  --out="$out/images" --sheet="$out/$class.png" || fail "drawing failed (see above; the server's log: $out/server.log)"

say "Drawn: $out/$class.png"
trap - EXIT
if [ -n "$keep" ]; then
  disown "$server"
  echo "The server goes on at $address (metrics: http://$metrics/metrics); end it: kill $server"
else
  stop_server
  echo "Start the server for the first three of these: deploy/quickstart.sh --keep"
fi
cat <<END
In a browser:    http://$http/
Another class:   $bin/diffusionctl generate --server=$address --class=ankle_boot
With grpcurl:    grpcurl -plaintext -d '{"class_name": "bag"}' $address diffusiond.v1.DiffusionService/GenerateImages
Train your own:  $bin/diffusion-train --data=IMAGES/ --out=runs/mine   (a sub-folder of PNG or JPEG a class)
END

say "Build the rest: diffusion-train, diffusion-eval, diffusion-publish (Ctrl-C: not now)"
build diffusion-train diffusion-eval diffusion-publish
