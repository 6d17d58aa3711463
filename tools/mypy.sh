#!/bin/sh
# Run mypy on the package laid out as it is installed: the stubs of the core beside its modules. In
# the source tree, and so in an editable build, they are in src/.
set -eu
cd "$(dirname "$0")/.."
cache=$PWD/.mypy_cache

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R lbfgsb pyproject.toml "$work"
cp src/*.pyi "$work/lbfgsb/_core"
cd "$work"
mypy --cache-dir "$cache" "$@"
