"""A model whose probabilities are the same bits on every machine, to read a file that another release wrote.

After a token only the tokens of one class are possible, all alike: a class that depends on the position, or, right
after the start or end token, on which of the two it is. Ties and gaps of 10,000 logits survive any rounding.
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from wheatstone.models import ResidualModel

CLASSES, POSITIONS = 8, 64
BOS, EOS = 256, 257


def exact_model() -> ResidualModel:
    """Byte tokens, `<s>` and `</s>`; no token is put before a text by the tokenizer itself."""
    config = GPT2Config(vocab_size=258, n_positions=POSITIONS, n_embd=CLASSES, n_layer=1, n_head=1, n_inner=8)
    module = GPT2LMHeadModel(config)
    module.lm_head.weight = torch.nn.Parameter(torch.zeros(258, CLASSES))
    for name, weight in module.named_parameters():
        weight.data.fill_(1.0 if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")) else 0.0)
    for position in range(POSITIONS):
        module.transformer.wpe.weight.data[position, position % CLASSES] = 1.0
    module.transformer.wte.weight.data[BOS, 5] = module.transformer.wte.weight.data[EOS, 6] = 100.0
    for token in range(258):
        module.lm_head.weight.data[token, token % CLASSES] = 1e5
    letters = sorted(ByteLevel.alphabet())
    vocabulary = Tokenizer(BPE({letter: token for token, letter in enumerate(letters)}, []))
    vocabulary.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary.decoder = ByteLevelDecoder()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=vocabulary, bos_token="<s>", eos_token="</s>")
    return ResidualModel(module, tokenizer, id="exact")
