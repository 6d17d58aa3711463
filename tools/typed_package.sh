# For tools/mypy.sh and tools/types.sh, in the root of the checkout: makes the folder $work, in which the
# package is laid out as it is installed, the stubs of the core beside its modules. In the source
# tree, and so in an editable build, the stubs are in src/.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tests"
cp -R lbfgsb pyproject.toml "$work"
cp -R tests/typing "$work/tests"
cp src/*.pyi "$work/lbfgsb/_core"
