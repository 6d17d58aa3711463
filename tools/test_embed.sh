#!/bin/sh
# Build the examples that embed lbfgsb in another project (docs/examples/embed with Cython,
# embed_cpp with C++ and pybind11) against the wheel, in a new environment, and run them.
#
#   tools/test_embed.sh [WHEEL]      without a wheel, one is built first
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

# Copied out of the checkout: only the installed package can be found from there.
cp -r docs/examples/embed docs/examples/embed_cpp "$work"
cd "$work"
for example in embed embed_cpp; do
    echo "$example:"
    install --no-build-isolation --no-deps "./$example"
    (cd "$example" && python run.py)
done
