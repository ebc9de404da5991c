"""A frozen base in 4 bit and a small adapter beside it (notebooks 00 and 03).

In: a profile. Out: configurations, tokenizer, base, adapter, and what they cost in memory.
"""

from src.qlora.adapters import (
    adapter_parity,
    attach_adapter,
    load_adapter,
    load_merged,
    logit_difference,
    logits_of,
    merge_adapter,
    save_merged,
    trainable_parameters,
)
from src.qlora.configs import build_bnb_config, build_lora_config
from src.qlora.fitting import fit_settings
from src.qlora.loading import free_memory, guard_cpu_gradients, load_base_model, load_tokenizer
from src.qlora.memory import (
    PHASES,
    RESERVED_GIB,
    TERMS,
    answering_tokens,
    estimate_vram,
    fits_whole,
    lora_parameter_count,
    model_table,
    needed_vram,
)
from src.qlora.registry import MODELS, hub_items, model_shape, model_spec
