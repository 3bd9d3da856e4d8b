"""What our code uses of TensorRT and of CuPy, read from its syntax tree.

Nothing is listed by hand. The module is whatever is called `trt`; its objects are known by their
annotations (`builder: tensorrt.Builder = ...`), which are the table of which object has which
class. An object of TensorRT that is used without one is a finding, not a gap.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN = "?"  # an object that TensorRT returned, of a class that nobody wrote down


@dataclasses.dataclass(frozen=True)
class Use:
    """One place where a name of the library is used."""

    path: str  # "Builder.create_network"
    kind: str  # "get", "set", "call", "override"
    where: str
    positional: int = 0
    keywords: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Thing:
    """What an expression is: a path from the module, or an instance of one of these classes."""

    paths: tuple[str, ...]
    is_instance: bool


MODULE = Thing(("",), is_instance=False)


def uses_of_tensorrt(file: Path, source: str | None = None) -> tuple[list[Use], list[str]]:
    """Return all uses in a file, and what could not be understood."""
    text = file.read_text(encoding="utf-8") if source is None else source
    walker = _Walker(file.name)
    walker.block(ast.parse(text).body, {})
    return walker.uses, walker.problems


def uses_of_cupy(file: Path) -> list[str]:
    """Return the dotted names below `self._cupy` in a file."""
    chains = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        part: ast.AST = node
        while isinstance(part, ast.Attribute):
            names.append(part.attr)
            part = part.value
        if isinstance(part, ast.Name) and part.id == "self" and len(names) > 1:
            first, *rest = reversed(names)
            if first == "_cupy":
                chains.add(".".join(rest))
    return sorted(chains)


class _Walker:
    def __init__(self, name: str) -> None:
        self.uses: list[Use] = []
        self.problems: list[str] = []
        self._name = name
        self._fields: dict[str, Thing] = {}  # annotated attributes of `self`

    def block(self, body: list[ast.stmt], known: dict[str, Thing]) -> None:
        for statement in body:
            self._statement(statement, known)

    def _statement(self, node: ast.stmt, known: dict[str, Thing]) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = dict(known)
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                if argument.arg == "trt":
                    inner["trt"] = MODULE
                elif argument.annotation is not None:
                    thing = _annotated(argument.annotation)
                    if thing is not None:
                        inner[argument.arg] = thing
            self.block(node.body, inner)
        elif isinstance(node, ast.ClassDef):
            for base in node.bases:
                thing = self._expression(base, known)
                if thing is not None and not thing.is_instance:
                    self._overrides(node, thing.paths[0])
            self.block(node.body, dict(known))
        elif isinstance(node, ast.AnnAssign):
            thing = _annotated(node.annotation)
            if node.value is not None:
                self._expression(node.value, known)
            if thing is not None and isinstance(node.target, ast.Name):
                known[node.target.id] = thing
            elif thing is not None and isinstance(node.target, ast.Attribute):
                self._fields[node.target.attr] = thing
        elif isinstance(node, ast.Assign):
            thing = self._expression(node.value, known)
            for target in node.targets:
                if isinstance(target, ast.Attribute):
                    self._attribute(target, known, "set")
                elif isinstance(target, ast.Name):
                    known.pop(target.id, None)
                    if thing is not None:
                        known[target.id] = thing
                else:
                    self._expression(target, known)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    self._statement(child, known)
                elif isinstance(child, (ast.expr, ast.withitem, ast.ExceptHandler)):
                    self._other(child, known)

    def _other(self, node: ast.AST, known: dict[str, Thing]) -> None:
        if isinstance(node, ast.expr):
            self._expression(node, known)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self._statement(child, known)
            else:
                self._other(child, known)

    def _overrides(self, node: ast.ClassDef, base: str) -> None:
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                count = len(method.args.args) - 1  # without self
                # What TensorRT does not call is ours: `cancel`.
                self._add(f"{base}.{method.name}", "override", method, positional=count)

    def _expression(self, node: ast.expr, known: dict[str, Thing]) -> Thing | None:
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, known, "get")
        if isinstance(node, ast.Call):
            return self._call(node, known)
        for child in ast.iter_child_nodes(node):
            self._other(child, known)
        return None

    def _attribute(
        self, node: ast.Attribute, known: dict[str, Thing], kind: str, **call: Any
    ) -> Thing | None:
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return self._fields.get(node.attr)
        owner = self._expression(node.value, known)
        if owner is None:
            return None
        if owner.paths == (UNKNOWN,):
            self.problems.append(
                f"{self._name}:{node.lineno}: .{node.attr} of an object without an annotation"
            )
            return None
        paths = tuple(f"{path}.{node.attr}".lstrip(".") for path in owner.paths)
        for path in paths:
            self._add(path, kind, node, **call)
        if owner.is_instance or node.attr.startswith("__"):
            return None  # a number, a text: nothing of TensorRT's
        return Thing(paths, is_instance=False)

    def _call(self, node: ast.Call, known: dict[str, Thing]) -> Thing | None:
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self._expression(argument, known)
        if not isinstance(node.func, ast.Attribute):
            self._expression(node.func, known)
            return None
        before = len(self.uses)
        keywords = tuple(keyword.arg or "**" for keyword in node.keywords)
        thing = self._attribute(
            node.func, known, "call", positional=len(node.args), keywords=keywords
        )
        if thing is not None:
            return Thing(thing.paths, is_instance=True)  # a constructor
        is_ours = any(use.kind == "call" for use in self.uses[before:])
        return Thing((UNKNOWN,), is_instance=True) if is_ours else None

    def _add(self, path: str, kind: str, node: Any, **call: Any) -> None:
        self.uses.append(Use(path, kind, f"{self._name}:{node.lineno}", **call))


def _annotated(node: ast.expr) -> Thing | None:
    """The classes that `tensorrt.A`, `tensorrt.A | None` or `tensorrt.A | tensorrt.B` names."""
    if isinstance(node, ast.BinOp):
        sides = [_annotated(node.left), _annotated(node.right)]
        paths = tuple(path for side in sides if side is not None for path in side.paths)
        return Thing(paths, is_instance=True) if paths else None
    names: list[str] = []
    part: ast.expr = node
    while isinstance(part, ast.Attribute):
        names.append(part.attr)
        part = part.value
    if isinstance(part, ast.Name) and part.id == "tensorrt" and names:
        return Thing((".".join(reversed(names)),), is_instance=True)
    return None
