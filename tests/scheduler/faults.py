"""Which small faults the scheduler could have: one changed operator, constant, call or condition each.

What nothing depends on is left alone: names, types, documentation and imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple

PACKAGE: Final = Path(__file__).resolve().parents[2] / "scheduler" / "miniecs_scheduler"

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


class Place(NamedTuple):
    """The lines of a fault's statement, without those of statements in it, and the path to its function.

    The path is empty for what runs when the module is imported, and for a function whose code cannot be
    exchanged: with `super()` it belongs to its class.
    """

    lines: range
    function: tuple[str, ...]


class Mutant(NamedTuple):
    """One fault: its module, its number there, the name under which it is listed, and where it is."""

    module: str
    number: int
    name: str
    place: Place

    @property
    def file(self) -> str:
        return path_of(self.module).name

    def code(self) -> CodeType:
        """The module's code with the fault in it."""
        tree = ast.parse(path_of(self.module).read_text())
        _Mutator(self.number).run(tree)
        return compile(tree, self.module, "exec")


def mutants(module: str) -> Iterator[Mutant]:
    """Every fault of one module. A name stays the same when lines move."""
    path = path_of(module)
    seen: dict[str, int] = {}
    for number, (name, place) in enumerate(_Mutator(None).run(ast.parse(path.read_text()))):
        seen[name] = seen.get(name, 0) + 1
        suffix = f" #{seen[name]}" if seen[name] > 1 else ""
        yield Mutant(module, number, f"{path.name} {name}{suffix}", place)


def modules() -> list[str]:
    stems = sorted(path.stem for path in PACKAGE.glob("*.py"))
    return ["miniecs_scheduler" if stem == "__init__" else f"miniecs_scheduler.{stem}" for stem in stems]


def path_of(module: str) -> Path:
    stem = module.partition(".")[2] or "__init__"
    return PACKAGE / f"{stem}.py"


class _Mutator(ast.NodeTransformer):
    """Walks a module and counts the places where a fault is possible; makes the chosen one."""

    def __init__(self, chosen: int | None) -> None:
        self._chosen = chosen
        self._count = 0
        self._where: list[str] = []
        self._inside: tuple[str, ...] = ()
        self._lines = range(0)
        self._found: list[tuple[str, Place]] = []

    def run(self, tree: ast.Module) -> list[tuple[str, Place]]:
        """Names of the faults, each with its place."""
        self.visit(tree)
        ast.fix_missing_locations(tree)
        return self._found

    def _may(self, node: ast.AST, fault: ast.AST) -> bool:
        """Whether this fault is to be made; all of them are only named while they are counted."""
        number, self._count = self._count, self._count + 1
        if self._chosen is None:
            where = ".".join(self._where) or "module"
            self._found.append(
                (f"{where}: {_text(node)} -> {_text(fault)}", Place(self._lines, self._inside))
            )
        return number == self._chosen

    def _either(self, node: ast.expr, fault: ast.expr) -> ast.expr:
        return fault if self._may(node, fault) else node

    def visit(self, node: ast.AST) -> Any:
        outside = self._lines
        if isinstance(node, ast.stmt):
            self._lines = _lines(node)
        visited = super().visit(node)
        self._lines = outside
        return visited

    # What is left alone: names, types and documentation.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._where.append(node.name)
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        node.args.kw_defaults = [default and self.visit(default) for default in node.args.kw_defaults]
        outside = self._inside
        if not any(isinstance(each, ast.Name) and each.id == "super" for each in ast.walk(node)):
            self._inside = outside or tuple(self._where)
        node.body = self._body(node.body)
        self._inside = outside
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


def _lines(node: ast.stmt) -> range:
    if isinstance(node, ast.If | ast.While | ast.For | ast.With | ast.FunctionDef):
        return range(node.lineno, max(node.lineno + 1, node.body[0].lineno))
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 110 else f"{text[:107]}..."
