"""Plants small faults in the scheduler one at a time and lists those that its fast tests do not notice.

Coverage says what tests run, not what they check. The runner is ours because the known ones want the
package in the project's root, leave decorated functions and constants alone, or start Python anew for
each fault. Here the tests are collected once and every fault is a fork of that process, in which the code
of one function is exchanged and the tests are run that run its line, the quickest first; what is no
function's code has its module imported anew. `make mutants` runs it and compares with survivors.txt.
"""

from __future__ import annotations

import argparse
import gc
import importlib.abc
import inspect
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.scheduler import survivors
from tests.scheduler.faults import PACKAGE, Mutant, modules, mutants, path_of
from tests.scheduler.survivors import Section

HERE: Final = Path(__file__).resolve().parent
WANTED: Final = 0.90
WANTED_OF_FILE: Final = 0.85
MEMORY: Final = 2 << 30
BROKEN: Final = pytest.ExitCode.INTERNAL_ERROR
OPTIONS: Final = (
    str(HERE),
    "-qsx",
    "--tb=no",
    "--assert=plain",
    "-p",
    "no:cacheprovider",
    "-m",
    "not slow",
    "--hypothesis-profile=mutants",
)
# As many examples as notice what the others do not; the first failure is enough.
PROFILE: Final = settings(
    deadline=None,
    max_examples=40,
    database=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


class Test(NamedTuple):
    """How long a test takes while it is watched, and the lines of the package that it runs."""

    seconds: float
    lines: frozenset[tuple[str, int]]


Tests = dict[str, Test]


class _Watch:
    """Notes of every test what it runs, as if it ran first."""

    def __init__(self) -> None:
        self.tests: Tests = {}
        self._codes: dict[int, tuple[CodeType, frozenset[int]]] = {}  # by id(): to hash code takes long
        self._left: dict[int, set[int]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        _forget()
        self._left = {}
        begin = time.process_time()
        sys.settrace(self._enter)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.tests[item.nodeid] = Test(time.process_time() - begin, frozenset(self._seen()))

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        """Watch a function until each of its lines has been seen."""
        left = self._left.get(id(frame.f_code))
        if left is None:
            left = self._left[id(frame.f_code)] = set(self._lines(frame.f_code))
        return self._line if left else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        left = self._left[id(frame.f_code)]
        left.discard(frame.f_lineno)
        return self._line if left else None

    def _lines(self, code: CodeType) -> frozenset[int]:
        if id(code) not in self._codes:
            inside = code.co_filename.startswith(str(PACKAGE))
            lines = frozenset(line for *_, line in code.co_lines() if inside and line is not None)
            self._codes[id(code)] = code, lines
        return self._codes[id(code)][1]

    def _seen(self) -> Iterator[tuple[str, int]]:
        for key, left in self._left.items():
            code, lines = self._codes[key]
            yield from ((code.co_filename, line) for line in lines - left)


def _watched() -> Tests:
    """Run all tests once, in a process of its own so that this one has imported nothing of the package."""
    reader, writer = os.pipe()

    def run() -> int:
        watch = _Watch()
        failed = pytest.main([*OPTIONS], plugins=[watch])
        with os.fdopen(writer, "wb") as out:
            pickle.dump(watch.tests, out)
        return failed

    child = _fork(run)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        tests: Tests = pickle.loads(answer.read())
    if os.waitpid(child, 0)[1]:
        raise SystemExit("The tests fail without any fault.")
    return tests


class _QuickestFirst:
    """Sorts the tests, and ends the process when one takes far longer than it does without a fault."""

    def __init__(self, tests: Tests) -> None:
        self._tests = tests

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._tests[item.nodeid].seconds)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        signal.setitimer(signal.ITIMER_PROF, 1 + 2 * self._tests[item.nodeid].seconds)


class _Planter:
    """Takes the place of pytest's loop over the collected tests: once for each fault those that run it."""

    def __init__(self, tests: Tests, faults: list[Mutant], jobs: int) -> None:
        self._tests = tests
        self._faults = faults
        self._jobs = jobs
        self.survivors: dict[str, str] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if os.waitpid(_fork(partial(_run, session.items)), 0)[1]:
            raise SystemExit("The tests fail in another order.")
        gc.freeze()
        self.survivors = _in_parallel(self._faults, self._jobs, partial(self._try, session.items))
        return True

    def _try(self, items: list[pytest.Item], mutant: Mutant) -> int | str:
        file = str(path_of(mutant.module))
        places = {(file, line) for line in mutant.place.lines}
        items = [item for item in items if not places.isdisjoint(self._tests[item.nodeid].lines)]
        return _fork(partial(_run, items, mutant)) if items else "no test runs it"


def _run(items: list[pytest.Item], mutant: Mutant | None = None) -> int:
    """Run tests until one fails; 1 if one did."""
    if mutant is not None:
        _plant(mutant)
    for item, after in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if item.session.testsfailed:
            return 1
    return 0


def _plant(mutant: Mutant) -> None:
    """Exchange the code of the function that has the fault."""
    code = mutant.code()
    found: Any = sys.modules[mutant.module]
    for name in mutant.place.function:
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
        found = vars(found)[name]
    found = getattr(found, "fget", found)
    inspect.unwrap(found).__code__ = code
    _forget()


def _forget() -> None:
    """What functions, the tests' own too, have answered before a fault was in them."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("miniecs_scheduler", "tests.scheduler")):
            for cached in vars(module).values():
                if hasattr(cached, "cache_clear"):
                    cached.cache_clear()


class _Loader(importlib.abc.Loader):
    """Gives the changed module to whoever imports it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == self._mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._mutant.code(), module.__dict__)


def _try_anew(tests: Tests, mutant: Mutant) -> int:
    """As `_Planter` does, with everything imported and collected again, and all tests."""

    def run() -> int:
        sys.meta_path.insert(0, _Loader(mutant))
        return pytest.main([*OPTIONS], plugins=[_QuickestFirst(tests)])

    return _fork(run)


def _fork(run: Callable[[], int]) -> int:
    """The id of a process that ends with what `run` returns, or BROKEN; it may not take all memory."""
    child = os.fork()
    if child == 0:
        code: int = BROKEN
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            code = run()
        finally:
            os._exit(code)
    return child


def _in_parallel(todo: list[Mutant], jobs: int, start: Callable[[Mutant], int | str]) -> dict[str, str]:
    """Names of the faults that were not noticed, each with a word: `start` has it, or a process to ask."""
    alive: dict[str, str] = {}
    running: dict[int, Mutant] = {}
    for mutant in todo:
        started = start(mutant)
        if isinstance(started, str):
            alive[mutant.name] = started
        else:
            running[started] = mutant
        while len(running) >= (jobs if mutant is not todo[-1] else 1):
            child, status = os.wait()
            ended = running.pop(child)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == BROKEN:
                raise SystemExit(f"could not be tried: {ended.name}")
            if status == 0:
                alive[ended.name] = "?"
                print(f"survived: {ended.name}", file=sys.stderr, flush=True)
    return alive


def _survivors(faults: list[Mutant], jobs: int) -> dict[str, str]:
    settings.register_profile("mutants", PROFILE)
    tests = _watched()
    alive = _in_parallel([m for m in faults if not m.place.function], jobs, partial(_try_anew, tests))
    planter = _Planter(tests, [m for m in faults if m.place.function], jobs)
    pytest.main([*OPTIONS], plugins=[_QuickestFirst(tests), planter])
    return alive | planter.survivors


def _sections(faults: list[Mutant], alive: dict[str, str]) -> dict[str, Section]:
    known = survivors.whole(survivors.listed()).words
    sections: dict[str, Section] = {}
    for fault in faults:
        total, words = sections.get(fault.file, Section(0, {}))
        if fault.name in alive:
            words[fault.name] = known.get(fault.name, alive[fault.name])
        sections[fault.file] = Section(total + 1, words)
    return sections


def _differences(found: dict[str, Section]) -> Iterator[str]:
    known = {name: section for name, section in survivors.listed().items() if name in found}
    names, listed = survivors.whole(found).words, survivors.whole(known).words
    yield from (f"survived, and is not listed: {name}" for name in names if name not in listed)
    yield from (f"listed, and noticed or gone: {name}" for name in listed if name not in names)
    for name, section in found.items():
        if name not in known or section.total != known[name].total:
            yield f"{name} has {section.total} faults, as is not listed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="files of the package, such as place.py; all of them")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true", help="write survivors.txt, keeping its words")
    chosen = parser.parse_args()
    wanted = [module for module in modules() if not chosen.files or path_of(module).name in chosen.files]
    faults = [mutant for module in wanted for mutant in mutants(module)]
    found = _sections(faults, _survivors(faults, chosen.jobs))
    differences = [] if chosen.write else list(_differences(found))
    if chosen.write:
        kept = survivors.listed() if chosen.files else {}
        survivors.PATH.write_text(survivors.text(kept | found))
    for line in differences:
        print(line)
    for name, section in found.items():
        print(f"{name}: {section.counted()}")
    package = survivors.whole(found)
    print(f"all: {package.counted()}")
    few = [name for name, section in found.items() if section.share < WANTED_OF_FILE]
    return 1 if differences or few or package.share < WANTED else 0


if __name__ == "__main__":
    sys.exit(main())
