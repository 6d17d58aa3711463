#!/bin/sh
# Run mypy --strict on the package laid out as it is installed, the stubs of the core beside its
# modules, and on code as users write it. In the source tree, and so in an editable build, the stubs
# are in src/.
set -eu
cd "$(dirname "$0")/.."
cache=$PWD/.mypy_cache

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tests"
cp -R lbfgsb pyproject.toml "$work"
cp -R tests/typing "$work/tests"
cp src/*.pyi "$work/lbfgsb/_core"
cd "$work"
mypy --cache-dir "$cache" "$@"
