# Shared by the set-up scripts: where things are kept, how they speak, how a download becomes whole or nothing.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/clipflow"
setup="$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)"
root="$(CDPATH='' cd -- "$setup/../.." && pwd)"
venv="$cache/venv"
python="$venv/bin/python"
export PATH="$HOME/.cargo/bin:$cache/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1

say() { echo "setup: $*" >&2; }
fail() { echo "setup: $*" >&2; exit 1; }

# Creates the private Python environment; Debian's own Python is externally managed and stays untouched.
# pip comes last into it, so its presence says that the environment is whole.
ensure_venv() {
    [ -x "$venv/bin/pip" ] && return
    python3 -c 'import venv, ensurepip' 2>/dev/null || bash "$setup/packages.sh"
    say "creating a private Python environment in $venv"
    mkdir -p "$cache"
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 could not create $venv: is there space, and is it yours?"
}

# fetch_wheel FOLDER REQUIREMENT SHA256 [pip options]: pip itself refuses a file with another hash.
fetch_wheel() {
    folder=$1 requirement=$2 hash=$3
    shift 3
    echo "$requirement --hash=sha256:$hash" >"$folder/wanted.txt"
    "$python" -m pip download --no-deps --only-binary=:all: --require-hashes --no-cache-dir \
        --progress-bar on --dest "$folder" "$@" -r "$folder/wanted.txt"
}
