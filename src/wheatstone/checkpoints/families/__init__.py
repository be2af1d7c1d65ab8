"""The decoder families Wheatstone can take apart: a small file each, and a line each here.

`docs/guides/add-a-family.md` shows how to add one.
"""

from wheatstone.checkpoints.families import cohere as cohere
from wheatstone.checkpoints.families import experts as experts
from wheatstone.checkpoints.families import gemma as gemma
from wheatstone.checkpoints.families import gpt2 as gpt2
from wheatstone.checkpoints.families import gpt_neox as gpt_neox
from wheatstone.checkpoints.families import gptj as gptj
from wheatstone.checkpoints.families import granite as granite
from wheatstone.checkpoints.families import llama as llama
from wheatstone.checkpoints.families import olmo as olmo
from wheatstone.checkpoints.families import opt as opt
from wheatstone.checkpoints.families import phi as phi
from wheatstone.checkpoints.families import stablelm as stablelm
from wheatstone.checkpoints.families._family import FAMILIES as FAMILIES
from wheatstone.checkpoints.families._family import Family as Family
from wheatstone.checkpoints.families._family import known_family as known_family
from wheatstone.checkpoints.families._family import register as register
