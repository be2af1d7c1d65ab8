"""What heads can be for: the one definition of each role, which every section that names a role uses.

A role says from where a head looks, at what, and along which path it then acts on the answer. A head has the role if
its attention to that place lies beyond the null of `_role_numbers.looks_at` and its effect along that path counts.

Sources: mover, relation and mixture heads, Yao et al. 2024 (arXiv 2405.17969), section 4.1; the roles of indirect
object identification, Wang et al. 2022 (arXiv 2211.00593), section 3; previous-token and induction heads, Elhage et al.
2021 and Olsson et al. 2022 (arXiv 2209.11895).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wheatstone.lenses import Material


@dataclass(frozen=True)
class Role:
    """One role.

    Args:
        name: as the field has it.
        query: the span from whose last token the head looks.
        key: the span that it looks at.
        direct: sign of its direct effect, 0 where the role asks for none: it acts through later heads.
        ablation: sign of its effect along its path: what taking it out costs the metric.
        into: the path along which its effect is tested. `answer`: all paths, by exact ablation of the head. The other
            values are steps of `_ioi`: `logits`, or inputs of another role's heads, by path patching.
        writes: what it is for. `answer`: its direct effect is on the answer against the distractor, and it is ablated
            as the run does, at a cost to the metric. `relation`: its direct effect is on the relation's answers (those
            of the other prompts) against the mean of all tokens; as the counterfactual prompt has the same relation,
            it is knocked out instead (zero ablation), at a cost to the answer's log-probability.
    """

    name: str
    query: str
    key: str
    direct: Literal[-1, 0, 1]
    ablation: Literal[-1, 1] = 1
    writes: Literal["answer", "relation"] = "answer"
    into: str = "answer"

    @property
    def ablated(self) -> tuple[str, str]:
        """From where, and in which way: roles that agree in it share the runs of random heads."""
        return self.query, self.writes

    @property
    def spans(self) -> set[str]:
        """The spans that every prompt must have."""
        return {self.query, self.key}

    @property
    def by_path(self) -> bool:
        """Whether its effect is tested along one path, see `_ioi`, and not by ablating the head as a whole."""
        return self.into != "answer"


FACT = (Role("mover", "last", "subject", 1), Role("relation", "last", "relation", 1, writes="relation"))
IOI = (
    Role("name mover", "last", "IO", 0, into="logits"),
    Role("negative name mover", "last", "IO", 0, -1, into="logits"),
    Role("S-inhibition", "last", "S2", 0, into="name movers' queries"),
    Role("duplicate-token", "S2", "S1", 0, into="S-inhibition values"),
    Role("induction", "S2", "S1+1", 0, into="S-inhibition values"),
    Role("previous-token", "S1+1", "S1", 0, into="induction keys"),
)
REPEATED = (
    Role("induction", "last", "subject", 0),
    Role("duplicate-token", "last", "previous", 0),
    Role("previous-token", "subject", "previous", 0),
)
MIXTURE = "mixture"
"""A head that is both a mover and a relation head."""


def roles_of(material: Material) -> tuple[Role, ...]:
    """The roles that the prompts' spans allow to be measured."""
    there = {name for name, places in material.experiment.encoded.spans.items() if bool((places >= 0).all())}
    for roles in (IOI, REPEATED):
        if set[str]().union(*(role.spans for role in roles)) <= there:
            return roles
    answers = {pair.answers[0] for pair in material.experiment.encoded.pairs}
    return tuple(role for role in FACT if role.spans <= there and (role.writes == "answer" or len(answers) > 2))
