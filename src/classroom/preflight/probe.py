"""A process of its own: what torch sees, and a 4-bit layer's gradient beside the one of the dequantized matrix.

Prints one line of JSON after the word FACTS; ``gpu.py`` reads it.
"""

import json
from typing import Any


def facts() -> dict[str, Any]:
    """Of torch and the first GPU, with the error of the gradient on the device that training will use."""
    import torch

    cuda = torch.cuda.is_available()
    found: dict[str, Any] = {"torch": torch.__version__, "cuda_build": torch.version.cuda, "cuda": cuda}
    if cuda:
        found["free"], found["total"] = torch.cuda.mem_get_info()
        found["device"], found["bf16"] = torch.cuda.get_device_name(0), torch.cuda.is_bf16_supported()
        found["capability"] = torch.cuda.get_device_capability(0)
    try:
        found["gradient_error"] = _gradient_error("cuda" if cuda else "cpu")
    except Exception as error:
        found["four_bit_error"] = f"{type(error).__name__}: {error}"
    return found


def _gradient_error(device: str) -> float:
    import torch
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    from src.qlora.loading import guard_cpu_gradients

    torch.manual_seed(0)
    dtype = torch.float32  # what the profiles compute in there
    if device == "cuda":
        dtype = torch.bfloat16 if torch.cuda.get_device_capability(0)[0] >= 8 else torch.float16
    options = {"bias": False, "quant_type": "nf4", "compute_dtype": dtype}
    layer = Linear4bit(256, 256, **options).to(device)
    guard_cpu_gradients(layer)
    x = torch.randn(32, 256, device=device, dtype=dtype)
    plain = dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype)
    gradients = []
    for function in (layer, lambda inputs: inputs @ plain.T):
        inputs = x.clone().requires_grad_()
        function(inputs).float().pow(2).mean().backward()
        gradients.append(inputs.grad.float())
    return ((gradients[0] - gradients[1]).norm() / gradients[1].norm()).item()


if __name__ == "__main__":
    print("FACTS" + json.dumps(facts()))
