#!/bin/sh
# Which lines do the tests run, of Python and of Cython?
#
#   tools/coverage.sh                              # all tests: a quarter of an hour
#   tools/coverage.sh tests/test_core_cauchy.py    # some
#
# In an environment of its own, with a build that counts (gcc). C names the lines of the .pyx files
# (-Ddebug), so that gcov counts those, in every thread, with the GIL or without.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
. "$work/venv/bin/activate"
pip install --quiet pytest-cov gcovr
pip install --quiet --config-settings=setup-args=-Db_coverage=true \
    --config-settings=setup-args=-Ddebug=true --config-settings=setup-args=-Dtests=true \
    "--config-settings=build-dir=$work/build" '.[test]'
python -m pytest -p no:cacheprovider --cov=lbfgsb --cov-report=term-missing:skip-covered "$@"
rm -f .coverage
gcovr --root . --filter src/ --exclude src/testing.pyx --txt - "$work/build"
