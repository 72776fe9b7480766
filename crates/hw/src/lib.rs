//! GPUs, links, nodes and topologies: what the datasheets say, with presets.
//!
//! This crate knows figures and nothing else: no model, no kernel, no request. A figure here is a
//! *peak*; the share of it that real kernels reach belongs to the laws that use it.
//!
//! ```
//! use sglsim_hw::{Gpu, Precision, Topology};
//!
//! let h100 = Gpu::preset("H100")?;
//! assert_eq!(h100.peak_flops(Precision::Bf16)?.get(), 989.4e12);
//! assert_eq!(h100.hbm_capacity.get(), 81_559.0 * 1024.0 * 1024.0);
//!
//! let fleet = Topology::of(h100)?; // 8 per node, NVLink4 inside, IB-NDR between
//! assert!(fleet.is_intra_node(8) && !fleet.is_intra_node(16));
//! assert_eq!(fleet.nodes_for(20), 3);
//! # Ok::<(), sglsim_hw::HwError>(())
//! ```
//!
//! A GPU of your own is a RON file with the fields of [`Gpu`]; see [`Gpu::from_file`].

mod error;
mod gpu;
mod link;
mod presets;
mod topology;

pub use error::HwError;
pub use gpu::{Architecture, Gpu, PeakFlops, Precision};
pub use link::Link;
pub use topology::{Node, Topology};
