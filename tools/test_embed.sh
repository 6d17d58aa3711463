#!/bin/sh
# Build the examples that embed lbfgsb in another project (docs/examples/embed with Cython,
# embed_cpp with C++ and pybind11) against the wheel, in a new environment, and run them.
#
#   tools/test_embed.sh [WHEEL]      without a wheel, one is built first
#   VALGRIND=1 tools/test_embed.sh   under memcheck: no report names lbfgsb or the example
#
# Needs C and C++ compilers. $PYTHON is the interpreter, python3 by default.
set -eu
wheel=${1:+$(realpath "$1")}
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
. "$work/venv/bin/activate"

install() { pip install --quiet --disable-pip-version-check "$@"; }
install meson-python meson ninja cython pybind11 'numpy>=2.0' 'scipy>=1.14'
if [ -z "$wheel" ]; then
    pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
        --wheel-dir "$work" .
    wheel=$(echo "$work"/lbfgsb-*.whl)
fi
install --no-deps "$wheel"

# Python's allocator would hide from memcheck what belongs to which object, and AVX-512 is more than
# it knows. It has reports of Python itself and of NumPy, which are not ours.
run() {
    if [ -z "${VALGRIND:-}" ]; then
        python run.py
        return
    fi
    PYTHONMALLOC=malloc LBFGSB_CPU=avx2 valgrind --error-limit=no --num-callers=40 \
        --log-file="$work/memcheck.log" python run.py
    tail -n 1 "$work/memcheck.log"
    if grep -E 'lbfgsb|decay|nearest' "$work/memcheck.log"; then
        cat "$work/memcheck.log"
        exit 1
    fi
}

# Copied out of the checkout: only the installed package can be found from there.
cp -r docs/examples/embed docs/examples/embed_cpp "$work"
cd "$work"
for example in embed embed_cpp; do
    echo "$example:"
    install --no-build-isolation --no-deps "./$example"
    (cd "$example" && run)
done
