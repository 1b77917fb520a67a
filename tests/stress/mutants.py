"""Small faults for a source text: each is one place, what stands there, and what is put in its stead.

Sites are found in the syntax tree and replaced in the text, so a mutant differs from the original in nothing else: line
numbers, comments and the rest of the module stay. Left out is what no test of behavior could see: docstrings,
annotations, imports, the texts of errors, ``doc=`` and ``symbol=`` (a drawing's), ``__all__`` and ``if TYPE_CHECKING``.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*", ast.FloorDiv: "*"}
COMPARISON = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
JUMPS = {ast.Break: "continue", ast.Continue: "break"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: characters ``start`` to ``stop`` of the file become ``new``."""

    path: str
    line: int
    start: int
    stop: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.path}:{self.line}: {old[:60]}  ->  {new[:60]}"

    def applied(self, source: str) -> str:
        """Return the text of the faulty module."""
        if source[self.start : self.stop] != self.old:
            raise ValueError(f"{self.path}:{self.line}: the text has changed since the mutant was found")
        return source[: self.start] + self.new + source[self.stop :]


def mutants(path: str, source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of the text; a few of them do not compile."""
    places = _Places(path, source)
    found = [m for node in _behavior(ast.parse(source)) for m in places.of(node)]
    found = [m for m in found if m.new != m.old]
    return sorted(found, key=lambda m: (m.start, m.stop, m.new))


def compiles(source: str) -> bool:
    """Return whether a text is a module."""
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _behavior(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that decide what the module does."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if child not in _ignored(node)]


def _ignored(node: ast.AST) -> list[ast.AST]:
    """Return the children of ``node`` that no test of behavior could see."""
    out: list[ast.AST] = []
    for name in ("annotation", "returns", "type_params"):
        value = getattr(node, name, None)
        out += [value] if isinstance(value, ast.AST) else []
    for child in ast.iter_child_nodes(node):
        text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        listing = isinstance(child, ast.Assign) and ast.unparse(child.targets[0]) in ("__all__", "__slots__")
        described = isinstance(child, ast.keyword) and child.arg in ("doc", "symbol")
        if (
            text
            or guard
            or listing
            or described
            or isinstance(child, (ast.Import, ast.ImportFrom, ast.Raise))
        ):
            out.append(child)
        if isinstance(child, ast.JoinedStr):
            out.append(child)
    return out


class _Places:
    """From nodes of the syntax tree to characters of the text."""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.source = path, source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.lines = [line.encode() for line in source.splitlines(keepends=True)]

    def _at(self, line: int, column: int) -> int:
        """Columns of the syntax tree count bytes."""
        return self.starts[line - 1] + len(self.lines[line - 1][:column].decode())

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self._at(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self._at(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )

    def _text(self, node: ast.AST) -> str:
        start, stop = self._span(node)
        return self.source[start:stop]

    def _whole(self, node: ast.AST, new: str) -> Mutant:
        start, stop = self._span(node)
        return Mutant(self.path, node.lineno, start, stop, self.source[start:stop], new)  # type: ignore[attr-defined]

    def of(self, node: ast.AST) -> Iterator[Mutant]:
        """Yield the mutants of one node."""
        if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            yield self._whole(node, self._joined(node.left, ARITHMETIC[type(node.op)], node.right))
        elif isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
            new = f"{self._text(node.target)} {ARITHMETIC[type(node.op)]}= {self._text(node.value)}"
            yield self._whole(node, new)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield self._whole(
                node, self._joined(node.left, COMPARISON[type(node.ops[0])], node.comparators[0])
            )
        elif isinstance(node, ast.BoolOp):
            word = " or " if isinstance(node.op, ast.And) else " and "
            yield self._whole(node, "(" + word.join(f"({self._text(v)})" for v in node.values) + ")")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            yield self._whole(node, f"({self._text(node.operand)})")
        elif isinstance(node, ast.Constant):
            yield from self._constant(node)
        elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
            yield self._whole(node.test, f"(not ({self._text(node.test)}))")
        elif isinstance(node, ast.Return) and node.value is not None:
            yield self._whole(node.value, "None")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield self._whole(node, "pass")
        elif isinstance(node, (ast.Break, ast.Continue)):
            yield self._whole(node, JUMPS[type(node)])

    def _joined(self, left: ast.AST, sign: str, right: ast.AST) -> str:
        return f"(({self._text(left)}) {sign} ({self._text(right)}))"

    def _constant(self, node: ast.Constant) -> Iterator[Mutant]:
        if isinstance(node.value, bool):
            yield self._whole(node, str(not node.value))
        elif isinstance(node.value, (int, float)):
            yield self._whole(node, repr(node.value + 1))
        elif isinstance(node.value, str) and node.value:
            yield self._whole(node, repr(f"XX{node.value[1:]}"))  # no part of which a search would find
