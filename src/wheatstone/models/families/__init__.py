"""The decoder families Wheatstone can take apart: a small file each, and a line each here.

`docs/guides/add-a-family.md` shows how to add one.
"""

from wheatstone.models.families import cohere as cohere
from wheatstone.models.families import experts as experts
from wheatstone.models.families import gemma as gemma
from wheatstone.models.families import gpt2 as gpt2
from wheatstone.models.families import gpt_neox as gpt_neox
from wheatstone.models.families import gptj as gptj
from wheatstone.models.families import granite as granite
from wheatstone.models.families import llama as llama
from wheatstone.models.families import olmo as olmo
from wheatstone.models.families import opt as opt
from wheatstone.models.families import phi as phi
from wheatstone.models.families import stablelm as stablelm
from wheatstone.models.families._family import FAMILIES as FAMILIES
from wheatstone.models.families._family import Family as Family
from wheatstone.models.families._family import known_family as known_family
from wheatstone.models.families._family import register as register
