#!/bin/sh
# Run the tests on a free-threaded CPython, with the GIL off.
#
#   tools/test_free_threaded.sh                                   # makes such a Python if need be
#   PYTHON=/opt/python3.13t tools/test_free_threaded.sh           # one that there is
#   tools/test_free_threaded.sh tests/test_sharing.py -k sixteen  # some tests
#
# Without PYTHON it is python3.14t or python3.13t, if there is one, or else the one in
# ~/.cache/lbfgsb-free-threaded, which is built there from the source package of Debian's Python
# (3.13 or later; as root, what building it needs is installed). That takes half an hour, once.
set -eu
cd "$(dirname "$0")/.."

kept=${XDG_CACHE_HOME:-$HOME/.cache}/lbfgsb-free-threaded

is_free_threaded() {
    "$1" -c 'import sysconfig; assert sysconfig.get_config_var("Py_GIL_DISABLED") == 1' 2>/dev/null
}

# From which suite Debian's package comes: one that has 3.13 or later.
suite=${SUITE:-trixie}
package=${PACKAGE:-python3.13}

build() {
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends dpkg-dev gcc \
            make pkg-config zlib1g-dev libssl-dev libffi-dev libbz2-dev liblzma-dev libsqlite3-dev
    fi
    work=$(mktemp -d)
    # Another suite than the machine's needs a list of its own, beside those that apt has.
    list=$work/sources.list mirror=${MIRROR:-https://deb.debian.org/debian}
    echo "deb-src $mirror $suite main" >"$list"
    mkdir -p "$work/lists/partial"
    set -- -o "Dir::Etc::SourceList=$list" -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$work/lists"
    apt-get "$@" -qq update
    (cd "$work" && apt-get "$@" -qq source --only-source "$package")
    (
        cd "$work"/"$package"-*/
        ./configure -q --disable-gil --prefix="$kept" CFLAGS=-O1
        make -s -j "$(nproc)"
        make -s install
    )
    rm -rf "$work"
}

python=${PYTHON:-}
for each in python3.14t python3.13t "$kept/bin/python3"; do
    if [ -z "$python" ] && command -v "$each" >/dev/null && is_free_threaded "$each"; then
        python=$each
    fi
done
if [ -z "$python" ]; then
    build
    python=$kept/bin/python3
fi
is_free_threaded "$python" || { echo "$python is not free-threaded" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
PATH=$work/venv/bin:$PATH
# What of the tests' packages has no wheel for it is left out, with the tests that need it.
pip install --quiet meson-python meson ninja cython numpy scipy pytest hypothesis mpmath
pip install --quiet --no-build-isolation --no-deps --config-settings=setup-args=-Dtests=true \
    "--config-settings=build-dir=$work/build" .
python -X gil=0 -c 'import lbfgsb._core.solver, sys; print(sys.version); assert not sys._is_gil_enabled()'
[ $# -gt 0 ] || set -- tests/test_sharing.py tests/test_core_*.py tests/test_guarantees.py \
    tests/test_batch.py tests/test_pairs.py tests/test_machine.py
python -X gil=0 -m pytest -p no:cacheprovider "$@"
