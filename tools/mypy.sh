#!/bin/sh
# Run mypy --strict on the package laid out as it is installed, and on code as users write it.
set -eu
cd "$(dirname "$0")/.."
cache=$PWD/.mypy_cache

. tools/typed_package.sh
cd "$work"
mypy --cache-dir "$cache" "$@"
