"""Which lines of the Cython files have been run, by a build with -Db_coverage=true?

    python tools/coverage_cython.py build/cp311

gcov counts lines of C. Cython says in a comment which line of which file the C below it comes from:
that line was run if any of that C was. (gcov itself would go by ``#line``, and take the second line
of the C for the next line of Cython.)
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src"
ORIGIN = re.compile(r' */\* "(.*)":(\d+)$')
SECTION = "/* #### Code section: "  # what all modules have has no origin


def origins(c_file: Path) -> Iterator[tuple[str, int] | None]:
    """Yield for each line of C the file and the line that it comes from."""
    origin = None
    for line in c_file.read_text(encoding="utf-8").splitlines():
        if match := ORIGIN.match(line):
            origin = (Path(match[1]).name, int(match[2]))
        elif line.startswith(SECTION):
            origin = None
        yield origin


def count(notes: Path, c_file: Path, counts: dict[str, dict[int, int]]) -> None:
    """Add what gcov has counted in one module to the counts of each line of each file."""
    gcov = ["gcov", "--json-format", "--stdout", str(notes)]
    out = subprocess.run(gcov, capture_output=True, check=True, text=True).stdout
    for file in json.loads(out)["files"]:
        if Path(file["file"]).name == c_file.name:
            of_line = list(origins(c_file))
            for line in file["lines"]:
                if (origin := of_line[line["line_number"] - 1]) is not None:
                    name, number = origin
                    counts[name][number] = counts[name].get(number, 0) + line["count"]


def ranges(numbers: list[int], known: list[int]) -> str:
    """Return missed lines as text; a range has no line in it that was run."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and not any(parts[-1][-1] < other < number for other in known):
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def main(build: str) -> None:
    """Print a table as that of coverage.py."""
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    for c_file in Path(build).rglob("*.pyx.c"):
        for notes in c_file.parent.glob("*.pyx.c.gcno"):
            count(notes, c_file, counts)
    total = missed = 0
    print(f"{'Name':26} {'Lines':>6} {'Miss':>6} {'Cover':>6}   Missing")
    for name in sorted(counts):
        if name.startswith("testing.") or not (SRC / name).exists():
            continue
        lines = counts[name]
        missing = sorted(number for number in lines if not lines[number])
        run = sorted(number for number in lines if lines[number])
        total, missed = total + len(lines), missed + len(missing)
        cover = 100 * len(run) / len(lines)
        print(f"src/{name:22} {len(lines):6} {len(missing):6} {cover:5.1f}%   "
              f"{ranges(missing, run)}")  # fmt: skip
    print(f"{'TOTAL':26} {total:6} {missed:6} {100 * (total - missed) / total:5.1f}%")


if __name__ == "__main__":
    main(*sys.argv[1:])
