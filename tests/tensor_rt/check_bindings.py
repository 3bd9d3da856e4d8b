"""Run in a process of its own: compare names and signatures with the real bindings of TensorRT.

Reads JSON, {"uses": [...], "fakes": [...]}, from the standard input and writes the list of what
does not agree. Signatures are what pybind11 writes into docstrings.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from typing import Any

Parameters = list[tuple[str, bool]]  # name, whether it must be given


def signatures(function: Any) -> list[Parameters]:
    """Every overload's parameters, without self."""
    doc = function.__doc__ or ""
    name = getattr(function, "__name__", "")
    found = []
    for line in doc.splitlines():
        match = re.fullmatch(
            r"(?:\d+\. )?" + re.escape(name) + r"\((.*)\)(?: -> .*)?", line.strip()
        )
        if match is None or match[1] == "*args, **kwargs":
            continue
        parameters = [_parameter(text) for text in _split(match[1])]
        found.append([each for each in parameters if each[0] != "self"])
    if not found:  # plain Python
        plain = inspect.signature(function).parameters.values()
        found = [
            [
                (each.name, each.default is each.empty)
                for each in plain
                if each.name not in ("self", "this")
            ]
        ]
    return found


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        if sign in "[(<{":
            depth += 1
        elif sign in "])>}":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _parameter(text: str) -> tuple[str, bool]:
    name, _, default = text.partition("=")
    return name.partition(":")[0].strip(), not default


def takes(parameters: Parameters, positional: int, keywords: list[str]) -> bool:
    """Whether a call with so many positional arguments and these keywords fits."""
    if positional > len(parameters):
        return False
    rest = dict(parameters[positional:])
    return set(keywords) <= rest.keys() and all(
        name in keywords for name, is_needed in rest.items() if is_needed
    )


def find(module: Any, path: str) -> Any:
    thing = module
    for name in path.split("."):
        thing = getattr(thing, name)
    return thing


def problem_of(module: Any, use: dict[str, Any]) -> str | None:
    path, kind = use["path"], use["kind"]
    try:
        thing = find(module, path)
    except AttributeError:
        return f"{use['where']}: there is no {path}"
    if kind == "set" and not (isinstance(thing, property) and thing.fset is not None):
        return f"{use['where']}: {path} cannot be set"
    if kind == "override":
        counts = [len(parameters) for parameters in signatures(thing)]
        if use["positional"] not in counts:
            return f"{use['where']}: {path} is called with {counts} arguments"
    if kind == "call":
        function = thing.__init__ if isinstance(thing, type) else thing
        overloads = signatures(function)
        positional = use["positional"] - path.endswith(".__init__")  # which is given self
        if not any(takes(each, positional, use["keywords"]) for each in overloads):
            given = f"{use['positional']} positional arguments and {use['keywords']}"
            return f"{use['where']}: {path} does not take {given}, but {overloads}"
    return None


def problem_of_fake(module: Any, fake: dict[str, Any]) -> str | None:
    """A stand-in may offer less than the real thing, never more or other."""
    path = fake["path"]
    try:
        thing = find(module, path)
    except AttributeError:
        return f"the fake has {path}, which there is not"
    wanted = fake["parameters"]
    if wanted is None:
        return None
    names = [name for name, _ in wanted]
    overloads = signatures(thing)
    for overload in overloads:
        needed = [name for name, is_needed in overload if is_needed]
        if names == [name for name, _ in overload][: len(names)] and set(needed) <= set(names):
            return None
    return f"the fake has {path}({', '.join(names)}), but it takes {overloads}"


def main() -> None:
    wanted = json.load(sys.stdin)
    import tensorrt_bindings as trt

    problems = [problem_of(trt, use) for use in wanted["uses"]]
    problems += [problem_of_fake(trt, fake) for fake in wanted["fakes"]]
    answer = {
        "version": trt.__version__,
        "problems": [problem for problem in problems if problem is not None],
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
