# Shared by the scripts here: where things are, how they speak, and the care of processes that outlive the script that started them.
# Linux only: who a process is, is read from /proc.
local_infra="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
root="$(CDPATH='' cd -- "$local_infra/../.." && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/clipflow/engines"
python="${XDG_CACHE_HOME:-$HOME/.cache}/clipflow/venv/bin/python"
dir="$(realpath -m -- "${CLIPFLOW_ENGINES_DIR:-$root/out/engines}")"
run="$dir/run" logs="$dir/logs" secrets="$dir/secrets.env" clients="$dir/clients.env" tls="$dir/tls"

# A cold start takes about 20 s of processor time; this leaves room for a machine that is busy with something else.
readonly READY_SECONDS_MAX=180
# A broker hands over its partitions first and Cassandra flushes; both are done in under 10 s.
readonly STOP_SECONDS_MAX=30
# Another `up` or `down` may be at work, and may be downloading.
readonly LOCK_SECONDS_MAX=600
# Logs of earlier starts that are kept for each process.
readonly LOGS_KEPT=4

say() { echo "engines: $*" >&2; }
fail() { echo "engines: $*" >&2; exit 1; }

# read_env FILE: takes its KEY=VALUE lines; what the environment says already wins.
read_env() {
    local key value
    while IFS='=' read -r key value; do
        case $key in '' | '#'*) continue ;; esac
        [ -n "${!key+set}" ] || export "$key=$value"
    done <"$1"
}

# address LIST INDEX: the INDEXth of HOST:PORT,HOST:PORT, counted from 1; port_of and host_of take it apart.
address() { cut -d, -f"$2" <<<"$1"; }
host_of() { echo "${1%:*}"; }
port_of() { echo "${1##*:}"; }

# Makes the data folder, readable by nobody else, and lets one script at a time change what runs in it.
claim_folder() {
    case "$dir$cache" in *[!A-Za-z0-9/._-]*) fail "Java's options cannot carry the folder names $dir and $cache: use letters, digits and . _ - only" ;; esac
    umask 077
    mkdir -p "$run" "$logs"
    exec 9>"$dir/lock"
    flock -w "$LOCK_SECONDS_MAX" 9 || fail "another start or stop has held $dir/lock for $LOCK_SECONDS_MAX s"
}

# identity PID: what no other process has, now or later: its number, when it started, in which boot. Nothing for a dead one.
identity() {
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The name, in brackets, may hold spaces; the state is the first field after it, the start time the twentieth.
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] || return 1
    echo "$1 ${fields[19]} $(cat /proc/sys/kernel/random/boot_id)"
}

# pid_of NAME: the number of the process we started under that name, if it is still that process.
pid_of() {
    local known pid
    known=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    pid=${known%% *}
    [ "$(identity "$pid")" = "$known" ] || return 1
    echo "$pid"
}

is_alive() { pid_of "$1" >/dev/null; }
is_paused() { grep -q '^State:[[:space:]]*T' "/proc/$(pid_of "$1")/status" 2>/dev/null; }
is_ready() { is_alive "$1" && [ -e "$run/$1.ready" ]; }
answers() { (exec 3<>"/dev/tcp/$(host_of "$1")/$(port_of "$1")") 2>/dev/null; }

# launch NAME ADDRESS COMMAND…: starts it in a session of its own and remembers who it is. Its log is kept, also the last few.
launch() {
    local name=$1 address=$2 n
    shift 2
    answers "$address" && fail "$address, where $name should listen, is taken by a process that is not ours. Stop it, or set another address (see infra/local/ports.env)"
    for ((n = LOGS_KEPT; n > 1; n--)); do
        [ ! -e "$logs/$name.$((n - 1)).log" ] || mv "$logs/$name.$((n - 1)).log" "$logs/$name.$n.log"
    done
    [ ! -e "$logs/$name.log" ] || mv "$logs/$name.log" "$logs/$name.1.log"
    rm -f "$run/$name.ready"
    setsid "$@" </dev/null >"$logs/$name.log" 2>&1 9>&- &
    identity $! >"$run/$name.pid" || fail "$name ended at once: $(tail -n 5 "$logs/$name.log")"
}

# await NAME CONDITION…: until the condition holds; a process that ends, or never gets there, fails with the end of its log.
await() {
    local name=$1 until=$((SECONDS + READY_SECONDS_MAX))
    shift
    is_ready "$name" && return
    until "$@"; do
        is_alive "$name" || fail "$name ended before it was ready; the end of $logs/$name.log:"$'\n'"$(tail -n 15 "$logs/$name.log")"
        [ "$SECONDS" -lt "$until" ] || fail "$name was not ready within $READY_SECONDS_MAX s; the end of $logs/$name.log:"$'\n'"$(tail -n 15 "$logs/$name.log")"
        sleep 0.1
    done
    touch "$run/$name.ready"
}

# signal NAME SIGNAL: only ever to a process that is still ours.
signal() {
    local pid
    pid=$(pid_of "$1") || fail "$1 is not running"
    kill "-$2" "$pid"
}

# already NAME: whether it runs; a paused one is woken.
already() {
    is_alive "$1" || return 1
    ! is_paused "$1" || signal "$1" CONT
}

# ask_to_stop NAME… asks all at the same time; await_gone NAME… waits, and uses force after the limit;
# await_stopped NAME… also forgets them, so that `status` does not miss them.
ask_to_stop() {
    local name pid
    for name; do
        pid=$(pid_of "$name") || continue
        kill -TERM "$pid"
        # A paused process cannot hear.
        kill -CONT "$pid"
    done
}

await_gone() {
    local name pid until=$((SECONDS + STOP_SECONDS_MAX))
    for name; do
        while pid=$(pid_of "$name"); do
            [ "$SECONDS" -lt $((until + STOP_SECONDS_MAX)) ] || fail "$name, process $pid, cannot even be killed"
            if [ "$SECONDS" -ge "$until" ]; then
                say "$name did not stop within $STOP_SECONDS_MAX s, so it is killed"
                kill -KILL "$pid"
                sleep 1
            fi
            sleep 0.1
        done
    done
}

await_stopped() {
    local name
    await_gone "$@"
    for name; do rm -f "$run/$name.pid" "$run/$name.ready"; done
}

# find_java: a Java 17, which is the newest that Cassandra 5.0 runs on.
find_java() {
    local home
    for home in "${JAVA_HOME:-}" /usr/lib/jvm/*17*; do
        grep -qs '^JAVA_VERSION="17' "$home/release" && [ -x "$home/bin/java" ] && echo "$home" && return
    done
    return 1
}

read_env "$local_infra/ports.env"
