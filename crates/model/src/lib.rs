//! Transformer shapes: what a model is, in the numbers that serving it costs.
//!
//! This crate knows dimensions, parameter counts and number formats; it knows no hardware and no
//! law. A shape is a preset, a RON file, or read from a Hugging Face `config.json`.
//!
//! ```
//! use sglsim_model::{Dtype, ModelShape, Part};
//!
//! let mut model = ModelShape::preset("Llama-3.1-70B")?;
//! assert_eq!(model.parameters().total(), 70_553_706_496);
//! assert_eq!(model.parameters().get(Part::Embedding), 128_256 * 8_192);
//! assert_eq!(model.kv_bytes_per_token().get(), 327_680.0); // 2 · 8 heads · 128 · 80 layers · 2 B
//!
//! model.kv_cache = Dtype::Fp8;
//! assert_eq!(model.kv_bytes_per_token().get(), 163_840.0);
//! # Ok::<(), sglsim_model::ModelError>(())
//! ```

mod check;
mod draft;
mod dtype;
mod error;
mod hf;
mod parameters;
mod presets;
mod shape;

pub use draft::DraftShape;
pub use dtype::Dtype;
pub use error::ModelError;
pub use parameters::{Parameters, Part};
pub use shape::{Attention, Gqa, Mla, ModelShape, Moe, SlidingWindow};
