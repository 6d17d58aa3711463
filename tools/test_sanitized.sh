#!/bin/sh
# Run the tests on two builds that check the compiled core as it runs, each in a virtual environment
# of its own:
#
#   checks     bounds and initialisation checks of Cython's memoryviews
#   sanitize   AddressSanitizer and UndefinedBehaviorSanitizer (GCC on Linux)
#
#   tools/test_sanitized.sh [checks|sanitize] [arguments for pytest, such as tests/test_core_solver.py]
#
# A sanitizer's finding ends the run with its report. Takes ten minutes.
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
    checks | sanitize) builds=$1; shift ;;
    *) builds='checks sanitize' ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# install BUILD: the package with that build option, and its test dependencies
install() {
    python3 -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet "--config-settings=setup-args=-D$1=true" \
        --config-settings=setup-args=-Dtests=true \
        "--config-settings=build-dir=$work/$1/build" '.[test]'
}

test_checks() {
    # An IndexError where a function cannot raise is only a warning; here it is a failure.
    "$work/checks/bin/pytest" -p no:cacheprovider \
        -W error::pytest.PytestUnraisableExceptionWarning "$@"
}

# The sanitizers' libraries are loaded before all others, since Python is built without them;
# libstdc++ too, where AddressSanitizer looks for the functions behind C++ exceptions (in SciPy).
# detect_leaks: Python keeps until it exits, by design, what it has imported, interned and cached.
# allocator_may_return_null: a test asks for more memory than there is, and shall get none.
# PYTHONMALLOC: each object has a block of its own, not a part of a larger one.
# --capture=sys: a report goes to the terminal; pytest would lose it when the process ends.
# Left out is the test that measures memory, which AddressSanitizer holds back once it is freed.
test_sanitize() {
    libraries=
    for name in libasan.so libubsan.so libstdc++.so; do
        libraries="$libraries $("${CC:-cc}" -print-file-name=$name)"
    done
    LD_PRELOAD=$libraries PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "$work/sanitize/bin/pytest" -p no:cacheprovider --capture=sys \
        --deselect tests/test_field.py::test_memory_is_w_and_a_dozen_vectors "$@"
}

for build in $builds; do
    echo "=== $build ==="
    install "$build"
    "test_$build" "$@"
done
