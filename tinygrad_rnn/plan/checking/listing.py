"""``listing``: a plan as numbered lines, each value assigned once and before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinygrad_rnn.plan.program import ASSEMBLE, Item

if TYPE_CHECKING:
    from tinygrad_rnn.plan.plan import Plan


def listing(plan: Plan) -> str:
    """Return the lines of a plan in the order of running; the last one says what it returns.

    A batch of several is one line for each of its members, which says how many run together. A view reads another
    value's memory, and so does what is put together of values that were computed in place: both cost nothing.
    """
    names = plan.example.names() if plan.example is not None else []
    lines: list[str] = []
    listed: set[int] = set()

    def list_free(i: int) -> None:
        """List what must stand before item i is used: an iterative walk, as views may be of views."""
        stack = [i]
        while stack:
            k = stack.pop()
            if k in listed:
                continue
            missing = [a for a in plan.program.items[k].args if a not in listed]
            if missing:
                stack += [k, *missing]
            else:
                listed.add(k)
                lines.append(_line(plan.program.items, k, names))

    for batch in plan.batches:
        for i in batch.members:
            for a in plan.program.items[i].args:
                list_free(a)
        together = f"  ({len(batch.members):,} together)" if len(batch.members) > 1 else ""
        for i in batch.members:
            listed.add(i)
            lines.append(_line(plan.program.items, i, names, computed=True) + together)
    for i in plan.program.outputs:
        list_free(i)
    return "\n".join([*lines, f"return {', '.join(f'%{i}' for i in plan.program.outputs)}"])


def _line(items: list[Item], i: int, names: list[str], computed: bool = False) -> str:
    item = items[i]
    scope = f"  [{', '.join(item.scope)}]" if item.scope else ""
    name = f"  {item.name}" if item.name and item.op is not None else ""
    free = "" if computed or item.op is None else "  (in place)" if item.op is ASSEMBLE else "  (a view)"
    return f"%{i} = {_made(item, names)} {item.dtype}{list(item.shape)}{name}{scope}{free}"


def _made(item: Item, names: list[str]) -> str:
    if item.op is not None:
        shown = [f"%{a}" for a in item.args]
        shown += [f"{key}={value}" for key, value in item.params.items()]
        return f"{item.op.name}({', '.join(shown)})"
    if item.kind == "input":
        return f"input {names[item.source] if names else item.name or item.source}"
    if item.kind == "constant" and not item.shape:
        return f"constant {item.source.item():g}"
    return f"{item.kind} {item.name}".rstrip()
