"""The pages of the documentation: what they have to hold."""

import re
from pathlib import Path

import pytest

import lbfgsb

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference"
pytestmark = pytest.mark.skipif(not REFERENCE.exists(), reason="not in a checkout")


def documented(folder):
    """Return the full names of what the pages of a folder describe with autodoc."""
    names = []
    for page in folder.glob("*.rst"):
        module = ""
        for line in page.read_text().splitlines():
            words = line.split("::")
            directive = words[0].strip(" .").removeprefix("py:")
            if directive in ("currentmodule", "automodule", "module"):
                module = words[1].strip()
            if directive in ("automodule", "module"):
                names.append(module)
            if re.fullmatch("auto(function|class|data|exception)", directive):
                names.append(f"{module}.{words[1].strip()}")
    return names


def test_every_public_name_is_in_the_reference_once():
    names = documented(REFERENCE)
    assert sorted(set(names)) == sorted(names)
    at_home = {name.rpartition(".")[2] for name in names}  # a test function is in lbfgsb.benchmarks
    assert set(lbfgsb.__all__) <= at_home
    for module in lbfgsb._MODULES:
        assert set(getattr(lbfgsb, module).__all__) <= at_home, module


def test_guides_leave_the_description_of_names_to_the_reference():
    assert documented(DOCS) == []


def test_every_page_is_in_a_table_of_contents():
    pages = {
        p.relative_to(DOCS).with_suffix("") for p in (*DOCS.glob("*.rst"), *REFERENCE.glob("*"))
    }
    listed = set()
    for page in pages:
        source = (DOCS / page).with_suffix(".rst")
        for block in re.findall(r"\.\. toctree::\n((?: .*\n|\n)*)", source.read_text() + "\n"):
            for line in block.splitlines():
                entry = re.sub(r".*<(.*)>", r"\1", line.strip())
                if entry and not entry.startswith(":"):
                    listed.add(page.parent / entry)
    assert pages - listed == {Path("index")}


def test_the_gallery_of_the_front_page_has_its_examples():
    block = (DOCS / "index.rst").read_text().split(".. minigallery::\n")[1].split(".. toctree")[0]
    assert block.split()
    for example in block.split():
        assert (DOCS / example).exists(), example


def test_the_table_of_files_has_each_file_of_the_core():
    table = (DOCS / "how_it_works.rst").read_text().split("Which file holds what\n===")[1]
    listed = re.findall(r"^   \* - ``(\w+)``$", table, re.MULTILINE)
    files = {path.stem for path in (DOCS.parent / "src").glob("*.p[yx][xd]")} - {"testing"}
    assert sorted(listed) == sorted(files)


def test_every_example_of_the_gallery_checks_its_gradient_and_has_its_place():
    examples = sorted((DOCS / "gallery").glob("plot_*.py"))
    assert len(examples) >= 10
    order = (DOCS / "_ext" / "gallery_style.py").read_text()
    for example in examples:
        assert "check_gradient(" in example.read_text(), example.name
        assert f'"{example.stem.removeprefix("plot_")}"' in order, example.name
