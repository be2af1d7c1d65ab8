"""From a name to files on this machine, and a tokenizer: sources, cache, GGUF, the models and families there are."""

from typing import TYPE_CHECKING

from wheatstone._lazy import door

if TYPE_CHECKING:
    from wheatstone.checkpoints._cache import ModelFiles as ModelFiles
    from wheatstone.checkpoints._cached import CachedModel as CachedModel
    from wheatstone.checkpoints._cached import cached_models as cached_models
    from wheatstone.checkpoints._cached import remove_cached as remove_cached
    from wheatstone.checkpoints._checkpoint import load_checkpoint as load_checkpoint
    from wheatstone.checkpoints._depth import check_layers as check_layers
    from wheatstone.checkpoints._known import KNOWN_MODELS as KNOWN_MODELS
    from wheatstone.checkpoints._known import shown_name as shown_name
    from wheatstone.checkpoints._known import title_of_model as title_of_model
    from wheatstone.checkpoints._light_tokenizer import LightTokenizer as LightTokenizer
    from wheatstone.checkpoints._light_tokenizer import light_tokenizer as light_tokenizer
    from wheatstone.checkpoints._quiet import quiet as quiet
    from wheatstone.checkpoints._reading import TransformersReading as TransformersReading
    from wheatstone.checkpoints._sources import pull_model as pull_model
    from wheatstone.checkpoints._sources import resolve_model as resolve_model
    from wheatstone.checkpoints._sources import tokenizer_here as tokenizer_here
    from wheatstone.checkpoints._text import TextReader as TextReader

__getattr__ = door(__name__)
