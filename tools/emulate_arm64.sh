#!/usr/bin/env bash
# A whole `darkfuse detect` on an emulated 64-bit ARM board: Debian's arm64 Python under qemu's user emulation,
# darkfuse's native modules cross-compiled for it.
#
#   tools/emulate_arm64.sh [detect's arguments; default: the sample photo]
#
# Needs root once, for apt-get. The ARM root (120 MB) is kept in $DARKFUSE_ARM_ROOT (default
# ~/.cache/darkfuse/arm64) for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DARKFUSE_ARM_ROOT:-$HOME/.cache/darkfuse/arm64}
packages="libc6 libc6-dev linux-libc-dev libgcc-s1 libgomp1 libstdc++6 zlib1g libexpat1 libffi8 libssl3 libbz2-1.0
          liblzma5 libuuid1 libpython3.11-minimal libpython3.11-stdlib python3.11-minimal python3.11
          libpython3.11 libpython3.11-dev"

if [ ! -x "$root/usr/bin/python3.11" ]; then
    apt-get install -y -qq --no-install-recommends qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
        >/dev/null
    dpkg --add-architecture arm64
    trap 'dpkg --remove-architecture arm64' EXIT
    apt-get update -qq
    debs=$(mktemp -d)
    # shellcheck disable=SC2086
    (cd "$debs" && apt-get download -qq $(printf '%s:arm64 ' $packages))
    mkdir -p "$root"
    for deb in "$debs"/*.deb; do dpkg -x "$deb" "$root"; done
    rm -r "$debs"
    python3 -m pip install -q --target "$root/site" --only-binary=:all: --implementation cp --python-version 3.11 \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
        'Pillow>=10.1,<14' 'psutil>=5.9,<8' 'numpy>=1.22,<3' 'Cython>=3.0,<4' 'setuptools>=77'
fi

# Programs the emulated Python starts, the cross compiler among them, run natively.
arm_python() { PYTHONPATH="$root/site:$tree" qemu-aarch64-static -L "$root" "$root/usr/bin/python3.11" "$@"; }

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
git archive HEAD | tar -x -C "$tree"
here=$PWD
(
    cd "$tree"
    export CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared"
    export CPPFLAGS="-I$root/usr/include/python3.11 -idirafter $root/usr/include"
    arm_python setup.py -q build_ext --inplace
)
file -b "$tree"/darkfuse/engine/_engine*.so 2>/dev/null || true
[ $# -gt 0 ] || set -- "$here/docs/images/cat.jpg"
arm_python -c "import platform, sys; print('Python', platform.python_version(), 'on', platform.machine())"
arm_python -P -m darkfuse detect --stats "$@"
