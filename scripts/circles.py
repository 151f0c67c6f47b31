#!/usr/bin/env python3
"""Prints the circles of files, and of rooms (folders and files at the top of a crate), and fails where there is one.

    scripts/circles.py CRATE_SOURCE...        as in: scripts/circles.py proxy/src oci/src

A file depends on another where it names it in a path of Rust: `use`, or `crate::...`, `super::...`, `self::...` anywhere
in its code. A name that a file only hands on (`pub use`) counts for the file that has it. Tests may name what they like.
"""

import re
import sys
from pathlib import Path

PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+(?:::\{[^;]*?\})?|^\s*(?:pub(?:\([^)]*\))? )?use (\w+(?:::\w+)*(?:::\{[^;]*?\})?)",
                  re.M | re.S)


def modules_of(source):
    """`{module as a tuple: its text without tests and comments}`; the crate's root is `()`."""
    found = {}
    for file in sorted(source.rglob("*.rs")):
        parts = file.relative_to(source).with_suffix("").parts
        if parts in (("lib",), ("main",)):
            parts = ()
        elif parts[-1] == "mod":
            parts = parts[:-1]
        if parts and parts[-1] in ("tests", "samples"):
            continue
        text = re.split(r"^#\[cfg\(test\)\]\s*mod tests", file.read_text(), maxsplit=1, flags=re.M)[0]
        found[parts] = found.get(parts, "") + re.sub(r"//.*|pub\(in [\w:]+\)", "", text)
    return found


def flat(path):
    """`a::{b, c::{d}}` as `a::b` and `a::c::d`."""
    head, brace, tail = path.partition("{")
    if not brace:
        return [path.split(" as ")[0].strip()]
    inner, depth, start = tail.rsplit("}", 1)[0], 0, 0
    pieces = []
    for at, char in enumerate(inner + ","):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            pieces.append(inner[start:at].strip())
            start = at + 1
    return [head.strip() + each for piece in pieces if piece for each in flat(piece)]


def names(modules, module):
    """The full paths that a module's text names within its crate."""
    for match in PATH.finditer(modules[module]):
        for path in flat(re.sub(r"\s+", " ", match[1] or match[0])):
            steps = path.split("::")
            base = module
            if steps[0] == "crate":
                base, steps = (), steps[1:]
            else:
                while steps and steps[0] in ("super", "self"):
                    base = base[:-1] if steps[0] == "super" else base
                    steps = steps[1:]
            yield tuple(base) + tuple(step for step in steps if step != "self")


def uses(modules, module):
    """The paths that it names for itself, not only to hand them on."""
    text = modules[module]
    handed_on = re.findall(r"^\s*pub(?:\([^)]*\))? use [^;]+;", text, re.M)
    own = text
    for statement in handed_on:
        own = own.replace(statement, "")
    only_handed_on = {path for statement in handed_on for path in names({module: statement}, module)
                      if not re.search(rf"\b{path[-1]}\b", own)} - set(names({module: own}, module))
    return [path for path in names(modules, module) if path not in only_handed_on]


def home(modules, path, seen=()):
    """The module that has what a path names; `None` for what is not of this crate."""
    for length in range(len(path), -1, -1):
        module, rest = path[:length], path[length:]
        if module in modules:
            for other in names(modules, module) if rest else ():
                if other[-1:] == rest[:1] and other != path and other not in seen and other[:-1] != module:
                    further = home(modules, other + rest[1:], (*seen, path))
                    if further is not None:
                        return further
            # A name without a module of its own before it may be another crate's.
            return module if module or not rest or path[0][:1].isupper() else None
    return None


def circles(arrows):
    """The strongly connected components of more than one node (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in arrows.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            found.append(stack[at:])
            del stack[at:]

    for node in list(arrows):
        if node not in index:
            visit(node)
    return [sorted(circle) for circle in found if len(circle) > 1]


def main(sources):
    sys.setrecursionlimit(10_000)
    bad = 0
    for source in map(Path, sources):
        modules = modules_of(source)
        files = {module: {home(modules, path) for path in uses(modules, module)} - {module, None} for module in modules}
        # The root only lists the rooms.
        files.pop((), None)
        files = {module: others - {()} for module, others in files.items()}
        rooms = {}
        for module, others in files.items():
            rooms.setdefault(module[:1], set()).update(other[:1] for other in others if other[:1] != module[:1])
        for what, arrows in (("files", files), ("rooms", rooms)):
            for circle in circles(arrows):
                bad += 1
                print(f"{source}: a circle of {what}: {', '.join('::'.join(node) for node in circle)}")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
