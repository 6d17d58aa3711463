#!/bin/sh
# Which lines do the tests run, of Python and of Cython?
#
#   tools/coverage.sh                              # all tests: half an hour
#   tools/coverage.sh tests/test_core_cauchy.py    # some
#
# In an environment of its own, with a build that counts (gcc), in every thread, with the GIL or
# without. Processes that tests start count too, unless they are killed.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
. "$work/venv/bin/activate"
pip install --quiet pytest-cov
pip install --quiet --config-settings=setup-args=-Db_coverage=true \
    --config-settings=setup-args=-Dtests=true "--config-settings=build-dir=$work/build" '.[test]'
export COVERAGE_FILE="$work/coverage"
status=0 # tests that fail have run lines too
pytest -p no:cacheprovider --cov --cov-report=term-missing:skip-covered "$@" || status=$?
python tools/coverage_cython.py "$work/build"
exit $status
