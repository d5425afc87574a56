#!/usr/bin/env bash
# A whole `darkfuse detect` on an emulated 64-bit ARM board: Debian's arm64 Python under qemu's user emulation,
# darkfuse's native modules cross-compiled for it.
#
#   tools/emulate_arm64.sh [detect's arguments; default: the sample photo]
#
# Needs Debian's (or Ubuntu's) qemu-user-static, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross, and changes nothing
# on the machine: the ARM packages are fetched with apt's lists in a folder of their own and unpacked into a root
# (120 MB) that is kept in $DARKFUSE_ARM_ROOT (default ~/.cache/darkfuse/arm64) for the next time.
# DARKFUSE_ARM_PAGE=16384 runs it with the pages of a Raspberry Pi 5's kernel.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DARKFUSE_ARM_ROOT:-$HOME/.cache/darkfuse/arm64}
packages="libc6 libc6-dev linux-libc-dev libgcc-s1 libgomp1 libstdc++6 zlib1g libexpat1 libffi8 libssl3 libbz2-1.0
          liblzma5 libuuid1 libpython3.11-minimal libpython3.11-stdlib python3.11-minimal python3.11
          libpython3.11 libpython3.11-dev"

for tool in qemu-aarch64-static aarch64-linux-gnu-gcc; do
    command -v "$tool" >/dev/null && continue
    echo "no $tool: apt-get install qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
    exit 2
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ ! -x "$root/usr/bin/python3.11" ]; then
    mkdir -p "$scratch"/{lists,cache,debs}
    : >"$scratch/status"
    apt_arm() {
        apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::lists="$scratch/lists" \
            -o Dir::State::status="$scratch/status" -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User=root "$@"
    }
    apt_arm update
    # shellcheck disable=SC2086
    (cd "$scratch/debs" && apt_arm download $packages)
    mkdir -p "$root"
    for deb in "$scratch"/debs/*.deb; do dpkg -x "$deb" "$root"; done
    python3 -m pip install -q --target "$root/site" --only-binary=:all: --implementation cp --python-version 3.11 \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
        'Pillow>=10.1,<14' 'numpy>=1.22,<3' 'Cython>=3.0,<4' 'setuptools>=77'
fi

# Programs the emulated Python starts run natively, the cross compiler among them: what it takes for itself is a script
# that starts it emulated, as its helpers are started.
cat >"$root/usr/bin/python-emulated" <<EOF
#!/bin/sh
exec qemu-aarch64-static \${DARKFUSE_ARM_PAGE:+-p "\$DARKFUSE_ARM_PAGE"} -0 "$root/usr/bin/python-emulated" -L "$root" \\
    "$root/usr/bin/python3.11" "\$@"
EOF
chmod +x "$root/usr/bin/python-emulated"
arm_python() { PYTHONPATH="$root/site:$tree" "$root/usr/bin/python-emulated" "$@"; }

tree=$scratch/tree
mkdir "$tree"
git archive HEAD | tar -x -C "$tree"
here=$PWD
(
    cd "$tree"
    export CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared"
    export CPPFLAGS="-I$root/usr/include/python3.11 -idirafter $root/usr/include"
    DARKFUSE_ARM_PAGE="" arm_python setup.py -q build_ext --inplace
)
file -b "$tree"/darkfuse/engine/_engine*.so 2>/dev/null || true
[ $# -gt 0 ] || set -- --out "$scratch/predictions" "$here/docs/images/cat.jpg"
arm_python -c "import platform, sys; print('Python', platform.python_version(), 'on', platform.machine())"
arm_python -P -m darkfuse detect --stats "$@"
