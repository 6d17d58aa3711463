#!/bin/sh
# Run the tests on a free-threaded CPython, with the GIL off.
#
#   tools/free_threaded.sh                                   # all tests
#   tools/free_threaded.sh tests/test_sharing.py -k sixteen  # some
#   PYTHON=/opt/bin/python3.14t tools/free_threaded.sh       # with a Python that there is
#
# Without PYTHON it is the one in ~/.cache/lbfgsb-free-threaded, which is built there, in ten minutes,
# from the source package of Debian trixie's Python 3.13. As root, what building it needs is installed.
set -eu
cd "$(dirname "$0")/.."

package=python3.13
kept=${XDG_CACHE_HOME:-$HOME/.cache}/lbfgsb-free-threaded
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() {
    if [ "$(id -u)" = 0 ]; then
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends dpkg-dev gcc \
            make pkg-config zlib1g-dev libssl-dev libffi-dev libbz2-dev liblzma-dev libsqlite3-dev
    fi
    # Trixie's packages are in a list of its own, beside those that apt has, from the same mirror.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | head -n 1)
    echo "deb-src $mirror trixie main" >"$work/trixie.list"
    mkdir -p "$work/lists/partial"
    cat >"$work/apt.conf" <<END
Dir::Etc::SourceList "$work/trixie.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
END
    (
        export APT_CONFIG="$work/apt.conf"
        cd "$work"
        apt-get -qq update
        apt-get -qq source --only-source --download-only "$package"
        # Without Debian's patches, by which a venv does not find its packages. With spins, a lock
        # that a thread takes twice costs it 40 turns of the processor: minutes on a busy machine.
        tar -xf "$package"_*.orig.tar.xz
        cd Python-*/
        sed -i 's/MAX_SPIN_COUNT = 40;/MAX_SPIN_COUNT = 0;/' Python/lock.c
        ./configure -q --disable-gil --disable-test-modules --prefix="$kept"
        make -s -j 2
        make -s install
    )
}

python=${PYTHON:-$kept/bin/python3}
command -v "$python" >/dev/null || build

"$python" -m venv "$work/venv"
PATH=$work/venv/bin:$PATH
# The newest NumPy and SciPy with wheels for this Python, also in the environment of the build.
export PYTHON_GIL=0 PIP_ONLY_BINARY=numpy,scipy
pip install --quiet --config-settings=setup-args=-Dtests=true \
    "--config-settings=build-dir=$work/build" .
# What has no wheel for this Python (cffi has none for 3.13) is left out, with the tests that need it.
python - <<'END' | while read -r each; do
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["test"], sep="\n")
END
    pip install --quiet --only-binary :all: "$each" || echo "left out: $each"
done
cat >"$work/gil.py" <<'END'
import pkgutil, sys, sysconfig
import lbfgsb._core
assert sysconfig.get_config_var("Py_GIL_DISABLED") == 1, "this Python is not free-threaded"
for module in pkgutil.iter_modules(lbfgsb._core.__path__):
    __import__(f"lbfgsb._core.{module.name}")
    assert not sys._is_gil_enabled(), f"{module.name} turns the GIL on"
print(sys.version)
END
env -u PYTHON_GIL python -W error "$work/gil.py"
python -m pytest -p no:cacheprovider "$@"
