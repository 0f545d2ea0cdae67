"""Makes silero_vad_16k_f16.safetensors from the 16 kHz half of silero_vad.jit in PyPI silero-vad 6.2.3 (MIT, see LICENSE.silero-vad).

usage: silero_vad.py SILERO_VAD.jit OUT.safetensors      (needs torch and safetensors)

The wheel's own silero_vad_16k.safetensors holds other weights than its jit and ONNX models, which agree with each other.
"""

import sys

import torch
from safetensors.torch import save_file

state = torch.jit.load(sys.argv[1], map_location="cpu")._model.state_dict()
names = {"stft_conv.weight": "stft.forward_basis_buffer", "final_conv.weight": "decoder.decoder.2.weight", "final_conv.bias": "decoder.decoder.2.bias"}
for kind in ("weight", "bias"):
    names |= {f"conv{index + 1}.{kind}": f"encoder.{index}.reparam_conv.{kind}" for index in range(4)}
    names |= {f"lstm_cell.{kind}_{side}": f"decoder.rnn.{kind}_{side}" for side in ("ih", "hh")}
tensors = {name: state[source].half().contiguous() for name, source in sorted(names.items())}
save_file(tensors, sys.argv[2])
print(f"{len(tensors)} tensors, {sum(tensor.numel() for tensor in tensors.values())} numbers")
