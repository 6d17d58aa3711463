#!/bin/sh
# Run the tests on two builds that check the compiled core as it runs, each in a virtual environment
# of its own:
#
#   checks     bounds and initialisation checks of Cython's memoryviews
#   sanitize   AddressSanitizer and UndefinedBehaviorSanitizer (GCC or Clang on Linux)
#
#   tools/test_sanitized.sh [checks|sanitize] [arguments for pytest, such as tests/test_core_solver.py]
#
# The first finding ends the run; it is printed at the end. Takes some minutes.
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
    checks | sanitize) builds=$1; shift ;;
    *) builds='checks sanitize' ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}

# The sanitizers' run-time libraries come before all others, since Python itself is built without
# them; libstdc++ too, for AddressSanitizer to find the functions behind C++ exceptions in SciPy.
libraries=
for name in libasan.so libubsan.so libstdc++.so; do
    libraries="$libraries $("$cc" -print-file-name=$name)"
done
# No search for leaks at exit: Python keeps what it has interned, imported and cached, by design.
# A request for more memory than there is gets NULL, as without the sanitizer: some tests make one.
asan=detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1
ubsan=halt_on_error=1:print_stacktrace=1

for build in $builds; do
    echo "=== $build ==="
    environment=$work/$build
    reports=$work/$build.reports
    mkdir "$reports"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet "--config-settings=setup-args=-D$build=true" \
        "--config-settings=build-dir=$environment/build" '.[test]'
    # An IndexError in a function that cannot raise is a warning; here it is a failure.
    set -- -p no:cacheprovider -W error::pytest.PytestUnraisableExceptionWarning "$@"
    status=0
    if [ "$build" = sanitize ]; then
        # Reports go to files: pytest would keep them to itself when the process is aborted.
        LD_PRELOAD=$libraries PYTHONMALLOC=malloc \
            ASAN_OPTIONS=$asan:log_path=$reports/address \
            UBSAN_OPTIONS=$ubsan:log_path=$reports/undefined \
            "$environment/bin/pytest" "$@" || status=$?
        for report in "$reports"/*; do
            [ -e "$report" ] || continue
            cat "$report"
            status=1
        done
    else
        "$environment/bin/pytest" "$@" || status=$?
    fi
    [ "$status" = 0 ] || exit "$status"
done
