#!/bin/sh
# Installs what is missing of the named sections of deploy/packages.txt.
#
#   deploy/install_packages.sh [--dry-run] SECTION...     for example: build test
#
# Needs root or sudo only if something is missing; says what it does. --dry-run only says it.
set -eu

fail() {
  echo "install_packages: $*" >&2
  exit 1
}

list="$(dirname "$0")/packages.txt"
dry_run=
sections=
for argument in "$@"; do
  case "$argument" in
    --dry-run) dry_run=yes ;;
    -*) fail "unknown option $argument; usage: $0 [--dry-run] SECTION..." ;;
    *)
      grep -q "^\[$argument\]\$" "$list" || fail "no section [$argument] in $list; it has:" \
        "$(sed -n 's/^\[\(.*\)\]$/\1/p' "$list" | tr '\n' ' ')"
      sections="$sections $argument"
      ;;
  esac
done
[ -n "$sections" ] || fail "usage: $0 [--dry-run] SECTION..."

wanted=$(awk -v sections="$sections" '
  BEGIN { count = split(sections, names, " "); for (i = 1; i <= count; i++) take[names[i]] = 1 }
  { sub(/#.*/, ""); gsub(/[ \t]+/, "") }
  /^\[.*\]$/ { section = substr($0, 2, length($0) - 2); next }
  $0 != "" && take[section] && !seen[$0]++' "$list")

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  fail "this is not Debian; install the like of these yourself:" $wanted

# dpkg-query ends with 1 for a package that it has never heard of: that one is missing.
installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
  awk '$2 == "installed" { print $1 }')
missing=$(printf '%s\n' $wanted | grep -vxF -e "$installed" || true)
if [ -z "$missing" ]; then
  echo "install_packages: all packages of$sections are installed"
  exit 0
fi
echo "install_packages: missing of$sections:" $missing
[ -z "$dry_run" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "apt needs root, and there is no sudo: run it as root"
  sudo="sudo"
fi
apt() {
  echo "+ ${sudo:+$sudo }apt-get $*"
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}
apt update || fail "apt-get update failed: is there a network, and is /etc/apt/sources.list right?"
apt install -y --no-install-recommends $missing ||
  fail "apt-get install failed; the list is made for Debian 12 (this is" \
    "$(. /etc/os-release 2>/dev/null && echo "${PRETTY_NAME:-unknown}"))"
