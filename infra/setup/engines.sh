#!/usr/bin/env bash
# What infra/local/up needs beyond the common set-up, and only it: Java 17, Maven, and Python clients. Says nothing when nothing is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

missing=()
compgen -G '/usr/lib/jvm/*17*/bin/java' >/dev/null || grep -qs '^JAVA_VERSION="17' "${JAVA_HOME:-}/release" || missing+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v openssl >/dev/null || missing+=(openssl)
command -v curl >/dev/null || missing+=(curl)
[ ${#missing[@]} -eq 0 ] || bash "$setup/packages.sh" "${missing[@]}"
bash "$setup/python.sh"
