"""Small breaks of a function's code: where its syntax tree allows which, as edits of the text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

Function = ast.FunctionDef | ast.AsyncFunctionDef

_OTHER = {
    ast.Lt: ("comparison", "<", "<="),
    ast.LtE: ("comparison", "<=", "<"),
    ast.Gt: ("comparison", ">", ">="),
    ast.GtE: ("comparison", ">=", ">"),
    ast.Eq: ("comparison", "==", "!="),
    ast.NotEq: ("comparison", "!=", "=="),
    ast.Is: ("comparison", "is", "is not"),
    ast.IsNot: ("comparison", "is not", "is"),
    ast.In: ("comparison", "in", "not in"),
    ast.NotIn: ("comparison", "not in", "in"),
    ast.And: ("and, or", "and", "or"),
    ast.Or: ("and, or", "or", "and"),
    ast.Add: ("arithmetic", "+", "-"),
    ast.Sub: ("arithmetic", "-", "+"),
    ast.Mult: ("arithmetic", "*", "/"),
    ast.Div: ("arithmetic", "/", "*"),
    ast.FloorDiv: ("arithmetic", "//", "*"),
    ast.BitAnd: ("arithmetic", "&", "|"),
    ast.BitOr: ("arithmetic", "|", "&"),
}
_TEXTS = ast.Raise | ast.JoinedStr  # what users read is no behaviour to break
_PRINTING = {"print", "echo", "warn", "write", "debug", "info", "warning"}


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of bytes in a source file."""

    operator: str
    start: int
    stop: int
    text: bytes

    def changed(self, source: bytes) -> bytes:
        """Return the source with this break."""
        return source[: self.start] + self.text + source[self.stop :]

    def lines(self, source: bytes) -> tuple[str, str]:
        """Return the changed lines as they were and as they are, in one line each."""
        begin = source.rfind(b"\n", 0, self.start) + 1
        end = source.find(b"\n", self.stop)
        before = source[begin:end]
        after = source[begin : self.start] + self.text + source[self.stop : end]
        return _squeezed(before), _squeezed(after)


def functions(source: bytes) -> dict[str, Function]:
    """Return the functions and methods of a module by qualified name, inner ones too."""
    return dict(_functions(ast.parse(source), ""))


def edits(source: bytes, function: Function) -> list[Edit]:
    """Return the breaks that a function's own code allows."""
    where = _Positions(source)
    return [edit for node in _own_nodes(function.body) for edit in _breaks(node, where)]


def is_another_program(source: bytes, changed: bytes) -> bool:
    """Return whether a changed source can be parsed, and not only a comment has changed."""
    try:
        return ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _squeezed(text: bytes) -> str:
    return " ".join(text.decode().split())


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        name = f"{prefix}{getattr(child, 'name', '')}"
        if isinstance(child, Function):
            yield name, child
        inside = isinstance(child, Function | ast.ClassDef)
        yield from _functions(child, f"{name}." if inside else prefix)


def _own_nodes(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """Yield what a function runs itself: no inner functions, annotations and printed texts."""
    for node in nodes:
        if isinstance(node, Function | ast.ClassDef | _TEXTS) or _prints(node):
            continue
        yield node
        typed = getattr(node, "annotation", None)
        yield from _own_nodes([x for x in ast.iter_child_nodes(node) if x is not typed])


def _prints(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    return getattr(node.func, "attr", getattr(node.func, "id", "")) in _PRINTING


class _Positions:
    """Where nodes stand, in bytes from the start of the file."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._lines = [0, *accumulate(map(len, source.splitlines(keepends=True)))]

    def of(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def swap(self, left: ast.expr, kind: ast.AST, right: ast.expr) -> Iterator[Edit]:
        """Replace the operator between two operands."""
        if type(kind) not in _OTHER:
            return
        operator, old, new = _OTHER[type(kind)]
        start, stop = self.of(left)[1], self.of(right)[0]
        words = r"\s+".join(map(re.escape, old.split()))
        match = re.search(words.encode(), self.source[start:stop])
        if match is not None:
            yield Edit(operator, start + match.start(), start + match.end(), new.encode())


def _breaks(node: ast.AST, where: _Positions) -> Iterator[Edit]:
    match node:
        case ast.Compare():
            operands = pairwise([node.left, *node.comparators])
            for (left, right), kind in zip(operands, node.ops, strict=True):
                yield from where.swap(left, kind, right)
        case ast.BoolOp():
            for left, right in pairwise(node.values):
                yield from where.swap(left, node.op, right)
        case ast.BinOp() if not _joins_text(node):
            yield from where.swap(node.left, node.op, node.right)
        case ast.Constant(value=bool(value)):
            yield Edit("constant", *where.of(node), str(not value).encode())
        case ast.Constant(value=int(value) | float(value)):
            yield Edit("constant", *where.of(node), repr(value + 1).encode())
        case ast.UnaryOp(op=ast.Not()):
            start, _ = where.of(node)  # the operand's own start would lie after its parentheses
            spaces = re.match(rb"not\s*", where.source[start:])
            assert spaces is not None
            yield Edit("not removed", start, start + spaces.end(), b"")
        case ast.Return(value=ast.expr() as value):
            yield Edit("returns None", *where.of(value), b"None")
        case ast.Call():
            for keyword in node.keywords:
                yield _dropped(keyword, where)
        case ast.Expr(value=ast.Call() | ast.Await()) if not _prints(node.value):
            yield Edit("call removed", *where.of(node), b"pass")
        case ast.If() | ast.IfExp():
            start, stop = where.of(node.test)
            negated = b"not (" + where.source[start:stop] + b")"
            yield Edit("condition negated", start, stop, negated)


def _joins_text(node: ast.BinOp) -> bool:
    """Return whether an operand is text: no other operator takes it, so any run would notice."""
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _dropped(keyword: ast.keyword, where: _Positions) -> Edit:
    """Drop a keyword argument, and the comma after or before it."""
    start, stop = where.of(keyword)
    after = re.match(rb"\s*,\s*", where.source[stop:])
    before = re.search(rb",\s*$", where.source[:start])
    if after is not None:
        stop += after.end()
    elif before is not None:
        start = before.start()
    return Edit("argument dropped", start, stop, b"")
