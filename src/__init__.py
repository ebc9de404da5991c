"""Shared package of the QLoRA workshop: each module is one arrow of the day's data flow."""

import logging

# On CPUs with AVX512-BF16 bitsandbytes' import asks for a kernel package that must not be installed here (it would be
# fetched from a hub): nothing a learner can act on. Here, because it must be said before anything imports it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
