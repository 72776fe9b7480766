//! Transformer shapes, from presets or Hugging Face config.json.
