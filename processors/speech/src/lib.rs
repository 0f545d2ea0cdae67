//! Whisper, voice activity and sentence embeddings on LibTorch
