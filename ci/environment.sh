# Sourced by ./test and .ci/run: where things are kept, one run at a time, Debian packages, compiled dependencies.
# Nothing here is needed to be present: every cache is rebuilt when it is gone.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/health-check-operator
export CARGO_TERM_COLOR=never
export GOTOOLCHAIN=${GOTOOLCHAIN:-local}

say() { printf '== %s\n' "$*"; }

give_up() {
  printf '%s\n' "$*" >&2
  exit 1
}

check_toolchains() {
  cd "$root"
  command -v cargo >/dev/null || give_up "Rust is missing: install Rust 1.95 or newer (https://rustup.rs), then run this again."
  command -v cc >/dev/null || give_up "A C compiler is missing: 'apt-get install build-essential', then run this again."
  command -v go >/dev/null || give_up "Go is missing: install Go 1.26 or newer (https://go.dev/doc/install), then run this again."
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  have=$(rustc --version | cut -d' ' -f2) || give_up "rustc does not run: 'rustup toolchain install stable', then run this again."
  if [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1)" != "$wanted" ]; then
    give_up "Rust $have is too old: this project needs $wanted ('rustup update stable')."
  fi
}

# Compiled dependencies live outside the tree, so that a fresh clone does not compile them again. Another compiler makes
# all of them useless and so has a set of its own; another Cargo.lock only some, and cargo knows which. The two newest
# sets stay, and a set that has grown past 20 GiB is begun afresh.
use_shared_target() {
  mkdir -p "$cache"
  if [ -n "${CARGO_TARGET_DIR:-}" ]; then return; fi
  local key
  key=$(cd "$root" && rustc --version --verbose | sha256sum | cut -c1-16)
  export CARGO_TARGET_DIR=$cache/target-$key
  if [ -d "$CARGO_TARGET_DIR" ] && [ "$(du -s --block-size=1G "$CARGO_TARGET_DIR" | cut -f1)" -gt 20 ]; then
    rm -rf "$CARGO_TARGET_DIR"
  fi
  mkdir -p "$CARGO_TARGET_DIR"
  touch "$CARGO_TARGET_DIR"
  find "$cache" -maxdepth 1 -type d -name 'target-*' -printf '%T@ %p\n' | sort -rn | tail -n +3 | cut -d' ' -f2- | xargs -r rm -rf
}

# Two runs at once would take each other's processor time and fail each other's deadlines.
one_at_a_time() {
  mkdir -p "$cache"
  if [ -n "${HEALTH_CHECK_CI_LOCKED:-}" ]; then return; fi
  exec 9>"$cache/run.lock"
  flock --nonblock 9 || { say "another run holds $cache/run.lock: waiting for it"; flock --timeout 5400 9 || give_up "the other run did not end"; }
  export HEALTH_CHECK_CI_LOCKED=1
}

install_debian_packages() {
  local missing=() package as_root=()
  if ! command -v dpkg-query >/dev/null; then
    say "no dpkg here: the tests need the programs of these Debian packages: $(xargs <"$root/ci/packages.txt")"
    return
  fi
  while read -r package; do
    case $package in '' | '#'*) continue ;; esac
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done <"$root/ci/packages.txt"
  if [ ${#missing[@]} -eq 0 ]; then return; fi

  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || give_up "These Debian packages are missing, and neither root nor a password-less sudo is at hand. Run: sudo apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo -n)
  fi
  say "installing ${missing[*]}"
  # Run level 1 keeps the packages from starting their services: the tests start their own, on ports of their own.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >"$cache/apt.log" 2>&1 ||
    { tail -20 "$cache/apt.log" >&2; give_up "apt-get could not install: ${missing[*]}"; }
}
