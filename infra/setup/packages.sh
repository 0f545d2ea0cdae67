#!/usr/bin/env bash
# Installs the distribution's packages: compilers, GStreamer, text shaping, ffmpeg, speech, fonts. The only step that needs root.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

build=(gcc g++ make cmake perl pkg-config binutils libssl-dev)
tools=(ca-certificates curl git unzip python3 python3-venv)
# Not libgstreamer-plugins-bad1.0-dev: it brings OpenCV's headers, 738 MB, and nothing here needs it.
media=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
    gstreamer1.0-libav libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libpango1.0-dev libcairo2-dev)
sample=(ffmpeg espeak-ng fontconfig fonts-inter fonts-bebas-neue fonts-noto-core fonts-noto-color-emoji)
wanted=("${build[@]}" "${tools[@]}" "${media[@]}" "${sample[@]}")
# Named on the command line: only those, for a step that not everybody takes.
[ $# -eq 0 ] || wanted=("$@")

command -v apt-get >/dev/null || fail "this script knows Debian 12 and Ubuntu 24.04 or newer. Elsewhere install the counterparts of: ${wanted[*]}"
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 == "ii" {print $2}')
# A build tool may also come from elsewhere than the distribution.
missing=()
for package in "${wanted[@]}"; do
    grep -qx "$package" <<<"$installed" && continue
    case $package in
        python3 | curl | git | gcc | g++ | make | cmake | perl | unzip) command -v "$package" >/dev/null && continue ;;
        pkg-config) command -v pkg-config >/dev/null && continue ;;
        python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null && continue ;;
    esac
    missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "these packages are missing and need root, but there is no sudo: apt-get install ${missing[*]}"
    say "the next step needs root for distribution packages only, by sudo; it may ask for your password"
    as_root=(sudo)
fi
say "installing ${#missing[@]} packages with apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" ||
    fail "apt-get failed; the lines above say why. Afterwards run the same command again"
