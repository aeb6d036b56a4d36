"""A compiled module is one that Python takes instead of its source."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from miniecs.images.bytecode import compiled

FOLDER = f"usr/lib/python{sys.version_info.major}.{sys.version_info.minor}"


def test_python_runs_what_was_compiled(tmp_path: Path) -> None:
    made = compiled(f"{FOLDER}/pack/module.py", b"print('compiled from', __name__)\n")
    assert made is not None
    path, content = made
    assert path == f"{FOLDER}/pack/__pycache__/module.{sys.implementation.cache_tag}.pyc"
    (tmp_path / "module.py").write_text("print('from source')")
    cached = Path(importlib.util.cache_from_source(str(tmp_path / "module.py")))
    cached.parent.mkdir()
    cached.write_bytes(content)
    ran = subprocess.run(
        [sys.executable, "-c", "import module"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "compiled from module\n"


def test_what_is_not_the_librarys_or_cannot_be_compiled_is_left() -> None:
    assert compiled(f"{FOLDER}/bad.py", b"print 'two'\n") is None
    assert compiled(f"{FOLDER}/lib2to3/tests/data/bad.py", b"x = 1\n") is None
    assert compiled("usr/lib/python2.7/os.py", b"x = 1\n") is None
    assert compiled(f"{FOLDER}/os.txt", b"x = 1\n") is None
