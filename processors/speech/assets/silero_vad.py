"""Makes silero_vad_16k_f16.safetensors from the weights in PyPI silero-vad 6.2.3 (MIT, see LICENSE.silero-vad).

usage: silero_vad.py SILERO_VAD_16K.safetensors OUT.safetensors      (needs numpy and safetensors)
"""

import sys

import numpy as np
from safetensors.numpy import load_file, save_file

tensors = {name: tensor.astype(np.float16) for name, tensor in sorted(load_file(sys.argv[1]).items())}
save_file(tensors, sys.argv[2])
print(f"{len(tensors)} tensors, {sum(tensor.size for tensor in tensors.values())} numbers")
