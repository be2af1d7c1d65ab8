"""A graph's supernodes as a person has named, merged and split them: `supernodes.json` in the run.

    {"format": "wheatstone.supernodes/1",
     "supernodes": [{"name": "writes French", "members": ["group 0", "m29.n864@5"]}]}

A member is a node, or `group N` for all nodes of the N-th supernode that was found. A node that a person's supernode
has leaves the one that was found, which is used up once it has fewer than two nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wheatstone._errors import RequestError, RunError, reason
from wheatstone._json import load_json
from wheatstone._path import StrPath, expanded
from wheatstone.runs import Row, Run, sound

FORMAT = "wheatstone.supernodes/1"
GROUP = "group "
_LONGEST, _MOST = 60, 200
"""Characters of a name, and supernodes of a file."""


def graph_nodes(run: Run) -> tuple[list[Row], list[Row]]:
    """The nodes of a graph's run, and its supernodes, grouped as `supernodes.json` says where the run has one.

    Args:
        run: of `wheatstone graph`, or of a graph out of a file.

    Raises:
        RunError: a file is damaged, or `supernodes.json` names a node that the graph does not have.
    """
    with sound(run.path):
        nodes, found = run.rows("nodes"), list(run.result["supernodes"])
        if not run.has("supernodes"):
            return nodes, found
        written = run.document("supernodes")["supernodes"]
        return regrouped(nodes, found, written, target_edges(run))


def own_supernodes(run: StrPath, file: StrPath) -> tuple[dict[str, Any], list[Row]]:
    """What `supernodes.json` of a graph's run will hold, and the supernodes that it makes.

    Args:
        run: of `wheatstone graph`, or of a graph out of a file.
        file: with a person's supernodes.

    Raises:
        RequestError: the file is no such file, or does not fit the graph.
        RunError: the run cannot be read, or is no graph's.
    """
    opened, path = Run.open(run, "graph"), expanded(file)
    with sound(opened.path):
        nodes, found, sent = opened.rows("nodes"), opened.result["supernodes"], target_edges(opened)
        try:
            written = _list(load_json(path), "supernodes")
            if written is None or len(written) > _MOST or not all(map(_is_supernode, written)):
                raise ValueError(
                    f"no list of at most {_MOST} supernodes, each with a name of 1 to {_LONGEST} characters and members"
                )
            _, supernodes = regrouped(nodes, found, written, sent)
        except (OSError, ValueError, RunError) as error:
            raise RequestError(
                expected="a file such as "
                '{"supernodes": [{"name": "writes French", "members": ["group 0", "m29.n864@5"]}]}',
                got=f"{path}: {error.got if isinstance(error, RunError) else reason(error)}",
                do="correct it; the page of the graph lists its nodes and groups",
            ) from error
    plain = [{"name": one["name"], "members": list(one["members"])} for one in written]
    return {"format": FORMAT, "supernodes": plain}, supernodes


def _field(record: Any, name: str) -> Any:
    """A field of a record; None of anything else."""
    fields: Mapping[str, Any] = record if isinstance(record, dict) else {}
    return fields.get(name)


def _list(record: Any, name: str) -> list[Any] | None:
    """A list in a record."""
    found = _field(record, name)
    return found if isinstance(found, list) else None


def _is_supernode(one: Any) -> bool:
    """Whether it has a name and members."""
    name, members = _field(one, "name"), _list(one, "members")
    named = isinstance(name, str) and 0 < len(name) <= _LONGEST
    return named and bool(members) and all(isinstance(each, str) for each in members or ())


def target_edges(run: Run) -> dict[str, float]:
    """What each node sends to the target."""
    return {row["sender"]: row["weight"] for row in run.rows("edges") if row["receiver"] == "target"}


def regrouped(
    nodes: Sequence[Row], found: Sequence[Row], written: Sequence[Mapping[str, Any]], sent: Mapping[str, float]
) -> tuple[list[Row], list[Row]]:
    """Nodes with the numbers of their supernodes, and the supernodes: what is left of those found, then a person's.

    Those that were found keep their numbers; one that is used up has no nodes.

    Args:
        nodes: rows of `nodes.parquet`.
        found: the supernodes of `graph.json`.
        written: those of `supernodes.json`.
        sent: what nodes send to the target, in logits.

    Raises:
        RunError: a member is no node of the graph and no supernode, or is in two of a person's supernodes.
    """
    by_name = {row["node"]: row for row in nodes}
    # Graphs out of a file may group logits too, which are no rows.
    found = [{**one, "nodes": [name for name in one["nodes"] if name in by_name]} for one in found]
    groups = {f"{GROUP}{number}": one["nodes"] for number, one in enumerate(found) if one["nodes"]}
    owner: dict[str, int] = {}
    for number, one in enumerate(written):
        for member in one["members"]:
            for name in groups.get(member, [member]):
                if name not in by_name:
                    ours = f", or {GROUP}0 to {GROUP}{len(found) - 1}" if found else ""
                    raise _refused(f"nodes of the graph{ours}", repr(member)[:80])
                if owner.setdefault(name, number) != number:
                    raise _refused("each node in one supernode", f"{name} in two")
    made = [_left(one, [name for name in one["nodes"] if name not in owner], by_name, sent) for one in found]
    for number, one in enumerate(written):
        members = [name for name, own in owner.items() if own == number]
        whole = next((group for group in found if set(group["nodes"]) == set(members)), None)
        made.append({**(whole or _made(members, by_name, sent)), "name": one["name"], "given": True})
    number_of = {name: number for number, one in enumerate(made) for name in one["nodes"]}
    return [{**row, "supernode": number_of.get(row["node"], -1)} for row in nodes], made


def _left(one: Row, left: Sequence[str], by_name: Mapping[str, Row], sent: Mapping[str, float]) -> Row:
    """What is left of a supernode that was found; nothing where it is a single node."""
    if len(left) == len(one["nodes"]):
        return one
    return {**_made(left, by_name, sent), "name": one["name"]} if len(left) > 1 else {**one, "nodes": [], "weight": 0.0}


def _made(members: Sequence[str], by_name: Mapping[str, Row], sent: Mapping[str, float]) -> Row:
    """Some nodes as one, with the tokens of the one that sends most."""
    strongest = max((by_name[member] for member in members), key=lambda row: abs(row["sent"]))
    return {
        "nodes": list(members),
        **{side: list(strongest[side]) for side in ("promotes", "suppresses")},
        "weight": sum(sent.get(member, 0.0) for member in members),
    }


def _refused(expected: str, got: str) -> RunError:
    return RunError(expected=f"supernodes of {expected}", got=got, do="correct supernodes.json, or take it away")
