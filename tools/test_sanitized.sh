#!/bin/sh
# Run the tests on builds that check the compiled core as it runs, each in a virtual environment of
# its own (Linux):
#
#   checks     bounds and initialisation checks of Cython's memoryviews
#   address    AddressSanitizer and UndefinedBehaviorSanitizer, by GCC
#   thread     ThreadSanitizer, by clang with its OpenMP (Debian: clang-19, llvm-19,
#              libomp-19-dev, for which libomp-dev makes way, and the other way round)
#
#   tools/test_sanitized.sh [checks|address|thread] [arguments for pytest, such as tests/test_batch.py]
#
# A sanitizer's finding ends the run with its report. Takes three quarters of an hour.
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
    checks | address | thread) builds=$1; shift ;;
    *) builds='checks address thread' ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# install BUILD OPTION: the package with that build option, and its test dependencies. By psutil
# joblib and loky end their workers; without it they call pgrep, which never returns where
# AddressSanitizer's library is loaded before its own.
install() {
    python3 -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet "--config-settings=setup-args=-D$2" \
        --config-settings=setup-args=-Dtests=true \
        "--config-settings=build-dir=$work/$1/build" '.[test]' psutil
}

test_checks() {
    install checks checks=true
    # An IndexError where a function cannot raise is only a warning; here it is a failure.
    "$work/checks/bin/pytest" -p no:cacheprovider \
        -W error::pytest.PytestUnraisableExceptionWarning "$@"
}

# The tests that measure memory or leave a process no more than it needs: the sanitizers take memory
# for each byte that is used, and AddressSanitizer holds back what is freed.
memory='
    --deselect tests/test_batch.py::test_a_hundred_thousand_problems_fit_into_memory
    --deselect tests/test_bench.py::TestMemory::test_is_that_of_the_pairs_and_some_vectors
    --deselect tests/test_bench.py::TestMemory::test_of_this_process_does_not_count
    --deselect tests/test_core_team.py::test_without_memory_for_threads_there_are_fewer_and_the_bits_are_the_same
    --deselect tests/test_field.py::test_memory_is_w_and_a_dozen_vectors'

# The sanitizers' libraries are loaded before all others, since Python is built without them;
# libstdc++ too, where AddressSanitizer looks for the functions behind C++ exceptions (in SciPy).
# detect_leaks: Python keeps until it exits, by design, what it has imported, interned and cached.
# allocator_may_return_null: a test asks for more memory than there is, and shall get none.
# PYTHONMALLOC: each object has a block of its own, not a part of a larger one.
# --capture=sys: a report goes to the terminal; pytest would lose it when the process ends.
# forkserver: a fork would wait for ever for a lock of the sanitizer's malloc that another thread had.
test_address() {
    install address sanitizer=address,undefined
    libraries=
    for name in libasan.so libubsan.so libstdc++.so; do
        libraries="$libraries $("${CC:-cc}" -print-file-name=$name)"
    done
    LD_PRELOAD=$libraries PYTHONMALLOC=malloc \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "$work/address/bin/python" -P -c '
import multiprocessing, sys, pytest
multiprocessing.set_start_method("forkserver")
sys.exit(pytest.main())' -p no:cacheprovider --capture=sys $memory "$@"
}

# GCC's OpenMP has barriers that ThreadSanitizer does not see. Of those of clang's it is told, by the
# library archer. Python is seen by the locks that it takes, the GIL among them.
# setarch -R: the sanitizer's map of the memory has no place for all addresses that Linux may choose.
# Left out are two more tests, which count threads: the sanitizer has one of its own.
test_thread() {
    CC=clang-19 install thread sanitizer=thread
    options=halt_on_error=1:ignore_noninstrumented_modules=1:die_after_fork=0
    library=$(clang-19 -print-file-name=libclang_rt.tsan-x86_64.so)
    setarch -R env LD_PRELOAD="$library" OMP_TOOL_LIBRARIES="${library%/clang/*}/libarcher.so" \
        TSAN_OPTIONS="$options:suppressions=$PWD/tools/thread.supp" \
        PATH="${library%/lib/clang/*}/bin:$PATH" \
        "$work/thread/bin/pytest" -p no:cacheprovider --capture=sys $memory \
        --deselect tests/test_batch.py::test_no_thread_is_started_unless_asked \
        --deselect tests/test_core_team.py::test_without_a_limit_there_are_as_many_threads_as_asked_for \
        "$@"
}

for build in $builds; do
    echo "=== $build ==="
    "test_$build" "$@"
done
