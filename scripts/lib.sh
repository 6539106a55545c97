# shellcheck shell=bash
# For scripts/install and scripts/test: source it from the repository's root.

# What building needs, and what the parts of scripts/test need beyond that. Debian 12's names.
# shellcheck disable=SC2034  # used by who sources this
{
  build_packages=(g++ cmake ninja-build libcli11-dev nlohmann-json3-dev libtomlplusplus-dev
    libhiredis-dev libssl-dev)
  test_packages=(bash-completion doctest-dev dpkg-dev fish iproute2 lintian make openssl python3
    python3-redis python3-yaml redis-sentinel redis-server strace zsh)
  sanitizer_packages=(clang libclang-rt-14-dev)
  lint_packages=(clang clang-format clang-tidy codespell mandoc python3 shellcheck)
  model_packages=(spin gcc libc6-dev)
}

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

is_installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# need_packages PACKAGE...: installs those that are missing when it may, else names them and ends.
need_packages() {
  local package missing=()
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "no apt-get here: going on in the hope that these are there: $*"
    return
  fi
  for package; do
    [[ " ${missing[*]} " == *" $package "* ]] || is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    die "these packages are missing; as root: apt-get install ${missing[*]}"
  fi
  say "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update
  apt-get -q -y install --no-install-recommends "${missing[@]}"
}
