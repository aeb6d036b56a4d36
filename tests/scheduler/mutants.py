"""Plants small faults in the scheduler one at a time and counts those that its fast tests notice.

Coverage says what tests run, not what they check. The runner is ours because the known ones want the
package in the project's root, leave decorated functions and constants alone, or start Python anew for
each fault. Here the tests are collected once and every fault is a fork of that process, in which the code
of one function is exchanged; what is no function's code has its module imported anew. `make mutants`
runs it; what survived, and why that is tolerable, is in survivors.txt beside this file.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib.abc
import inspect
import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple
from zlib import crc32

import pytest
from hypothesis import settings

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
PACKAGE: Final = ROOT / "scheduler" / "miniecs_scheduler"
SURVIVORS: Final = HERE / "survivors.txt"
WANTED: Final = 0.85
CPU_SECONDS: Final = 20  # the tests need about 5; a fault that never ends is noticed too
MEMORY: Final = 2 << 30
OPTIONS: Final = (
    "-q",
    "-s",
    "--assert=plain",
    "-p",
    "no:cacheprovider",
    "-m",
    "not slow",
    "--hypothesis-profile=mutants",
)
# The query language has tests of its own, which need no placement, nor the other way round.
_LANGUAGE: Final = ("expressions", "tokens", "patterns", "dates")
_ABOUT_LANGUAGE: Final = ("test_expressions.py", "test_patterns.py")
_LONG: Final = ("test_properties.py", "test_reference.py")

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Their types are not looked at when the package runs.
_TYPE_ALIASES: Final = ("tuple", "Callable", "Mapping")


class Mutant(NamedTuple):
    """One fault: its module, its number there, and the name under which it is listed.

    `function` is the path to the function whose code has it; empty for what runs when the module is imported.
    """

    module: str
    number: int
    name: str
    function: tuple[str, ...]

    def code(self) -> CodeType:
        """The module's code with the fault in it."""
        tree = ast.parse(_path(self.module).read_text())
        _Mutator(self.number).run(tree)
        return compile(tree, self.module, "exec")


def mutants(module: str) -> Iterator[Mutant]:
    """Every fault of one module. A name stays the same when lines move."""
    path = _path(module)
    seen: dict[str, int] = {}
    for number, (name, function) in enumerate(_Mutator(None).run(ast.parse(path.read_text()))):
        seen[name] = seen.get(name, 0) + 1
        suffix = f" #{seen[name]}" if seen[name] > 1 else ""
        yield Mutant(module, number, f"{path.name} {name}{suffix}", function)


def modules() -> list[str]:
    stems = sorted(path.stem for path in PACKAGE.glob("*.py"))
    return ["miniecs_scheduler" if stem == "__init__" else f"miniecs_scheduler.{stem}" for stem in stems]


def _path(module: str) -> Path:
    stem = module.partition(".")[2] or "__init__"
    return PACKAGE / f"{stem}.py"


class _Mutator(ast.NodeTransformer):
    """Walks a module and counts the places where a fault is possible; makes the chosen one."""

    def __init__(self, chosen: int | None) -> None:
        self._chosen = chosen
        self._count = 0
        self._where: list[str] = []
        self._inside: tuple[str, ...] = ()
        self._found: list[tuple[str, tuple[str, ...]]] = []

    def run(self, tree: ast.Module) -> list[tuple[str, tuple[str, ...]]]:
        """Names of the faults, each with the function that has it."""
        self.visit(tree)
        ast.fix_missing_locations(tree)
        return self._found

    def _may(self, node: ast.AST, fault: ast.AST) -> bool:
        """Whether this fault is to be made; all of them are only named while they are counted."""
        number, self._count = self._count, self._count + 1
        if self._chosen is None:
            where = ".".join(self._where) or "module"
            self._found.append((f"{where}: {_text(node)} -> {_text(fault)}", self._inside))
        return number == self._chosen

    def _either(self, node: ast.expr, fault: ast.expr) -> ast.expr:
        return fault if self._may(node, fault) else node

    # What is left alone: names, types and documentation.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._where.append(node.name)
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        node.args.kw_defaults = [default and self.visit(default) for default in node.args.kw_defaults]
        outermost = not self._inside
        if outermost:
            self._inside = tuple(self._where)
        node.body = self._body(node.body)
        if outermost:
            self._inside = ()
        self._where.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._where.append(node.name)
        node.body = self._body(node.body)
        self._where.pop()
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = self._body(node.body)
        return node

    def _body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [self.visit(each) for each in body]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        return node

    visit_ImportFrom = visit_Import  # type: ignore[assignment]

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Name) and target.id in ("__slots__", "__all__"):
            return node
        alias = isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name)
        if alias and not self._where and value.value.id in _TYPE_ALIASES:  # type: ignore[attr-defined]
            return node
        node.targets = [self.visit(each) for each in node.targets]
        node.value = self.visit(value)
        return node

    # Faults in statements.

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):
            return node
        if isinstance(node.value, ast.Call) and self._may(node, ast.Pass()):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> ast.AST:
        return ast.Pass() if self._may(node, ast.Pass()) else node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        other = _ARITHMETIC.get(type(node.op))
        if other is not None:
            fault = ast.AugAssign(node.target, other(), node.value)
            if self._may(node, fault):
                return fault
        node.value = self.visit(node.value)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value is None:
            return node
        if isinstance(node.value, ast.Constant) and node.value.value in (None, True, False):
            node.value = self.visit(node.value)  # None would be as false as False
            return node
        fault = ast.Return(ast.Constant(None))
        if self._may(node, fault):
            return fault
        return self.generic_visit(node)

    def visit_Break(self, node: ast.Break) -> ast.AST:
        return ast.Continue() if self._may(node, ast.Continue()) else node

    def visit_Continue(self, node: ast.Continue) -> ast.AST:
        return ast.Break() if self._may(node, ast.Break()) else node

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node
        node.test = self._negated(node.test)
        return self.generic_visit(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        node.test = self._negated(node.test)
        return self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        node.test = self._negated(node.test)
        return self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.ifs = [self._negated(test) for test in node.ifs]
        return self.generic_visit(node)

    def _negated(self, test: ast.expr) -> ast.expr:
        """Conditions that are no comparison: those have a fault of their own."""
        if isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            return test
        return self._either(test, ast.UnaryOp(ast.Not(), test))

    # Faults in expressions.

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        for i, operator in enumerate(node.ops):
            other = _COMPARISONS[type(operator)]()
            fault = ast.Compare(node.left, [*node.ops[:i], other, *node.ops[i + 1 :]], node.comparators)
            if self._may(node, fault):
                return fault
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        other = _ARITHMETIC.get(type(node.op))
        if other is not None:
            fault = ast.BinOp(node.left, other(), node.right)
            if self._may(node, fault):
                return fault
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        fault = ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        return fault if self._may(node, fault) else self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        return node.operand if self._may(node, node.operand) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            fault = ast.Call(ast.Name(_CALLS[node.func.id], ast.Load()), node.args, node.keywords)
            if self._may(node, fault):
                return fault
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        value = node.value
        if isinstance(value, bool):
            return self._either(node, ast.Constant(not value))
        if isinstance(value, int | float):
            return self._either(node, ast.Constant(value + 1))
        if isinstance(value, str):
            return self._either(node, ast.Constant(f"XX{value}XX"))
        return node


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 110 else f"{text[:107]}..."


class _Loader(importlib.abc.Loader):
    """Gives the changed module to whoever imports it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == self._mutant.module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._mutant.code(), module.__dict__)


class _Survivors:
    """Takes the place of pytest's loop over the collected tests: all of them once for each fault."""

    def __init__(self, mutants: list[Mutant], jobs: int, report: Callable[[], None]) -> None:
        self._mutants = mutants
        self._jobs = jobs
        self._report = report
        self.names: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if _ended(_fork(lambda: _run(session.items, None))):
            raise SystemExit("The tests fail without any fault.")
        gc.freeze()
        self.names = _in_parallel(self._mutants, self._jobs, lambda m: _run(session.items, m), self._report)
        return True


def _run(items: list[pytest.Item], mutant: Mutant | None) -> int:
    """Run tests until one fails; 1 if one did."""
    if mutant is not None:
        _plant(mutant)
        files = _test_files(mutant)
        items = [item for item in items if item.path in files]
    for item, after in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if item.session.testsfailed:
            return 1
    return 0


def _plant(mutant: Mutant) -> None:
    """Exchange the code of the function that has the fault, and forget what it has answered."""
    code = mutant.code()
    found: Any = sys.modules[mutant.module]
    for name in mutant.function:
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
        found = vars(found)[name]
    found = getattr(found, "fget", found)
    inspect.unwrap(found).__code__ = code
    for name, module in list(sys.modules.items()):
        if name.startswith("miniecs_scheduler"):
            for cached in vars(module).values():
                if hasattr(cached, "cache_clear"):
                    cached.cache_clear()


def _run_anew(mutant: Mutant | None) -> int:
    """As `_run`, with everything imported and collected again."""
    if mutant is not None:
        sys.meta_path.insert(0, _Loader(mutant))
    return int(pytest.main([*OPTIONS, "-x", *map(str, _test_files(mutant))]))


def _fork(run: Callable[[], int]) -> int:
    """The id of a process that ends with 0 only if `run` does, not if it never ends or wants it all."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            code = run()
        finally:
            os._exit(code)
    return child


def _ended(child: int) -> int:
    return os.waitpid(child, 0)[1]


def _in_parallel(
    todo: list[Mutant], jobs: int, run: Callable[[Mutant], int], report: Callable[[], None]
) -> list[str]:
    """The names of the faults that were not noticed."""
    survivors: list[str] = []
    running: dict[int, Mutant] = {}
    waiting = iter(todo)
    while True:
        while len(running) < jobs and (mutant := next(waiting, None)) is not None:
            running[_fork(partial(run, mutant))] = mutant
        if not running:
            return survivors
        child, status = os.wait()
        ended = running.pop(child)
        if status == 0:
            survivors.append(ended.name)
            print(f"survived: {ended.name}", file=sys.stderr, flush=True)
        report()


def _test_files(mutant: Mutant | None) -> list[Path]:
    """Small cases first: most faults are noticed by them, and quickly."""
    files = sorted(HERE.glob("test_*.py"), key=lambda path: (path.name in _LONG, path.name))
    if mutant is None:
        return files
    if mutant.module.rpartition(".")[2] in _LANGUAGE:
        return [path for path in files if path.name not in _LONG]
    return [path for path in files if path.name not in _ABOUT_LANGUAGE]


class Section(NamedTuple):
    """What survivors.txt says of one file of the package: how many faults were noticed, and who survived."""

    noticed: int
    total: int
    date: str
    words: dict[str, str]
    sampled: bool = False


def listed() -> dict[str, Section]:
    """survivors.txt: a line `# place.py: 90 of 100, 2026-11-30` a file, under it lines of `fault  # word`.

    `of a sample of 100` where not all of its faults were planted.
    """
    sections: dict[str, Section] = {}
    for line in SURVIVORS.read_text().splitlines() if SURVIVORS.exists() else ():
        head = re.fullmatch(r"# (\w+\.py): (\d+) of (a sample of )?(\d+), (\S+)", line)
        if head is not None:
            words: dict[str, str] = {}
            sections[head[1]] = Section(int(head[2]), int(head[4]), head[5], words, bool(head[3]))
        elif line and not line.startswith("#"):
            name, _, word = line.partition("  # ")
            words[name.strip()] = word.strip()
    return sections


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="files of the package, such as place.py; all of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--survivors", action="store_true", help="only those that survivors.txt lists")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="one of N faults, always the same")
    parser.add_argument("--write", action="store_true", help="write survivors.txt, keeping its words")
    chosen = parser.parse_args()
    known = listed()
    words = {name: word for section in known.values() for name, word in section.words.items()}
    todo = [
        mutant
        for module in modules()
        if not chosen.files or _path(module).name in chosen.files
        for mutant in mutants(module)
        if crc32(mutant.name.encode()) % chosen.sample == 0 and (not chosen.survivors or mutant.name in words)
    ]
    os.chdir(ROOT)
    survivors = set(_test(todo, chosen.jobs))
    sampled = chosen.sample > 1
    noticed = {mutant.name for mutant in todo} - survivors
    known |= _rest(known, noticed) if chosen.survivors else _counted(todo, survivors, words, sampled)
    if chosen.write:
        SURVIVORS.write_text(_report(known))
    for mutant in todo:
        if mutant.name in survivors and mutant.name not in words:
            print(f"not listed: {mutant.name}")
    print(_report(known).splitlines()[1])
    return 0 if _share(known) >= WANTED else 1


def _counted(
    todo: list[Mutant], survivors: set[str], words: dict[str, str], sampled: bool
) -> dict[str, Section]:
    counted = {}
    for module in modules():
        names = [mutant.name for mutant in todo if mutant.module == module]
        alive = {name: words.get(name, "?") for name in names if name in survivors}
        if names:
            date = time.strftime("%Y-%m-%d")
            counted[_path(module).name] = Section(
                len(names) - len(alive), len(names), date, alive, sampled
            )
    return counted


def _rest(known: dict[str, Section], noticed: set[str]) -> dict[str, Section]:
    """What is listed, without the faults that are noticed by now."""
    left = {}
    for name, section in known.items():
        words = {fault: word for fault, word in section.words.items() if fault not in noticed}
        left[name] = section._replace(noticed=section.total - len(words), words=words)
    return left


def _report(sections: dict[str, Section]) -> str:
    noticed = sum(section.noticed for section in sections.values())
    total = sum(section.total for section in sections.values())
    sampled = [name for name, section in sections.items() if section.sampled]
    of = f"faults (of {len(sampled)} files a sample)" if sampled else "faults"
    lines = [
        "# Faults in the scheduler that no fast test notices, and why that is tolerable. By `make mutants`.",
        f"# {noticed} of {total} {of} are noticed: {_share(sections):.1%}",
    ]
    for name, section in sorted(sections.items()):
        of = "of a sample of" if section.sampled else "of"
        lines += ["", f"# {name}: {section.noticed} {of} {section.total}, {section.date}"]
        lines += [f"{fault}  # {word}" for fault, word in section.words.items()]
    return "\n".join(lines) + "\n"


def _share(sections: dict[str, Section]) -> float:
    total = sum(section.total for section in sections.values())
    return sum(section.noticed for section in sections.values()) / total if total else 1.0


def _test(todo: list[Mutant], jobs: int) -> list[str]:
    """The names of the faults that the tests do not notice, in the order of the code."""
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        if done % 100 == 0:
            print(f"{done} of {len(todo)}", file=sys.stderr, flush=True)

    settings.register_profile("mutants", deadline=None, max_examples=40, database=None, derandomize=True)
    if _ended(_fork(lambda: _run_anew(None))):
        raise SystemExit("The tests fail without any fault.")
    survivors = _in_parallel([m for m in todo if not m.function], jobs, _run_anew, report)
    loop = _Survivors([m for m in todo if m.function], jobs, report)
    pytest.main([*OPTIONS, *map(str, _test_files(None))], plugins=[loop])
    names = {*survivors, *loop.names}
    return [mutant.name for mutant in todo if mutant.name in names]


if __name__ == "__main__":
    sys.exit(main())
