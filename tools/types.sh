#!/bin/sh
# Check the types with mypy --strict (tools/mypy.sh), with pyright, and with stubtest, which compares
# the stubs of the core with its compiled modules. lbfgsb must be installed, for stubtest.
#
#   tools/types.sh [mypy|pyright|complete|stubtest ...]      all by default
#
# complete: at least 98.5 % of what is public says its type. The rest is the base class of
# lbfgsb.Report, where scooby is not installed.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- mypy pyright complete stubtest

. tools/typed_package.sh

check_mypy() { tools/mypy.sh; }

check_pyright() { (cd "$work" && pyright --level error); }

check_complete() {
    (cd "$work" && PYTHONPATH=$work pyright --verifytypes lbfgsb --ignoreexternal) >"$work/report" || true
    python - "$work/report" <<'PYTHON'
import re, sys
text = open(sys.argv[1]).read()
score = float(re.search(r"Type completeness score: ([\d.]+)%", text)[1])
print(f"{score} % of what is public says its type")
if score < 98.5:
    sys.exit(text)
PYTHON
}

# From a folder of its own, so that what is imported is what is installed.
check_stubtest() {
    allowed=$PWD/tools/stubtest.allow
    mkdir "$work/elsewhere"
    (cd "$work/elsewhere" && MYPYPATH=$work python -m mypy.stubtest lbfgsb --concise \
        --ignore-unused-allowlist --allowlist "$allowed" --mypy-config-file "$work/pyproject.toml")
}

for what in "$@"; do
    "check_$what"
done
