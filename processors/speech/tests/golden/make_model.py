"""Makes the two small random models and what PyPI transformers computes with them.

usage: make_model.py OUT_FOLDER      (needs torch, transformers 5, tokenizers and numpy)

Each model folder is a Hugging Face folder (f16 weights) plus audio.s16 (16 kHz mono), mel.f32, encoder.f32, tokens.json and logits.f32.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

SECONDS = 1
POSITIONS = 50 * SECONDS


def tokenizer(languages):
    """One token per byte, then Whisper's special tokens and timestamps."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in languages)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokens.add_special_tokens([AddedToken(text, special=True) for text in special])
    tokens.add_tokens([AddedToken(f"<|{step * 0.02:.2f}|>") for step in range(POSITIONS + 1)])
    return tokens


def make(folder, mels, width, layers, heads, seed):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    words = tokenizer(["en", "de"])
    words.save(str(folder / "tokenizer.json"), pretty=False)
    end = words.token_to_id("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=words.get_vocab_size(), num_mel_bins=mels, d_model=width, encoder_layers=layers[0], decoder_layers=layers[1],
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=3 * width, decoder_ffn_dim=2 * width,
        max_source_positions=POSITIONS, max_target_positions=24, decoder_start_token_id=end + 1, pad_token_id=end, bos_token_id=end,
        eos_token_id=end, suppress_tokens=None, begin_suppress_tokens=None, init_std=0.2,
    )
    model = WhisperForConditionalGeneration(config).eval().half()
    model.generation_config.is_multilingual = True
    model.generation_config.lang_to_id = {f"<|{code}|>": words.token_to_id(f"<|{code}|>") for code in ("en", "de")}
    model.generation_config.alignment_heads = [[layers[1] - 1, 0]]
    model.save_pretrained(folder)
    model = model.float()

    random = np.random.default_rng(seed)
    time = np.arange(16_000 * SECONDS) / 16_000
    audio = 0.4 * np.sin(2 * np.pi * (220 + 300 * time) * time) + 0.05 * random.standard_normal(time.size)
    samples = (np.clip(audio, -1, 1) * 32_767).astype("<i2")
    samples.tofile(folder / "audio.s16")
    extractor = WhisperFeatureExtractor(feature_size=mels, chunk_length=SECONDS)
    mel = extractor(samples.astype(np.float32) / 32_768, sampling_rate=16_000, return_tensors="pt").input_features
    ids = [end + 1, words.token_to_id("<|de|>"), words.token_to_id("<|transcribe|>"), *words.encode("Hello, wörld").ids]
    with torch.no_grad():
        states = model.model.encoder(mel).last_hidden_state
        logits = model(input_features=mel, decoder_input_ids=torch.tensor([ids])).logits
    (folder / "tokens.json").write_text(json.dumps(ids))
    for name, tensor in {"mel": mel, "encoder": states, "logits": logits}.items():
        tensor[0].numpy().astype("<f4").tofile(folder / f"{name}.f32")


out = Path(sys.argv[1])
make(out / "random-80", mels=80, width=24, layers=(2, 2), heads=3, seed=1)
make(out / "random-128", mels=128, width=16, layers=(1, 2), heads=2, seed=2)
