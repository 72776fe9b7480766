//! How long a step takes, and what fits into a GPU, as expressions.
//!
//! One law is one function that returns an [`Expr`](sglsim_expr::Expr). The simulator runs the
//! compiled law, a solver gets the same law as a formula, and there is no other implementation.
//! This crate knows models, hardware and kernels; it knows neither queues nor time.
//!
//! ```
//! use sglsim_expr::Context;
//! use sglsim_hw::{Gpu, Topology};
//! use sglsim_kernels::{Coefficients, ParallelPlan, RankFeatures, StepFeatures, StepLaw};
//! use sglsim_model::ModelShape;
//!
//! let topology = Topology::of(Gpu::preset("H100")?)?;
//! let theta = Coefficients::for_architecture(topology.gpu().architecture);
//! let model = ModelShape::preset("Llama-3.1-8B")?;
//! let plan = ParallelPlan::tensor(1);
//! let law = StepLaw::of(&Context::new(), "", &model, &topology, &theta, &plan)?;
//!
//! // The engine's reading: this scenario's law, compiled to a function of the batch.
//! let mut rank = RankFeatures::default();
//! rank.add_extend(0, 2048); // a prompt of 2048 tokens, nothing cached
//! let step = StepFeatures::of_ranks([&rank]);
//! let seconds = law.compile()?.seconds(&step);
//! assert!((0.03..0.06).contains(&seconds));
//!
//! // The solver's reading: the same law, symbolic in sizes, hardware and θ.
//! let symbols = law.step_time().free_symbols();
//! assert!(symbols.iter().any(|symbol| symbol.name == "tp_size"));
//! assert!(symbols.iter().any(|symbol| symbol.name == "gemm_bf16_efficiency"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! * [`StepFeatures`], built from [`RankFeatures`]: all that the cost of a step depends on.
//! * [`ParallelPlan`]: TP, attention DP, EP, pipeline stages, and whether a model can be spread that way.
//! * [`Coefficients`]: θ, what a datasheet does not say; [`Hardware`]: all that laws see of it.
//! * [`operator`]: one law per kind of kernel call, each behind [`OperatorLaw`], to be replaced
//!   through a [`LawSet`].
//! * [`StepLaw`] puts them together; [`StepProgram`] is it, compiled.
//! * [`Breakdown`]: where the time of one step goes, operator by operator, and what bounds each.
//! * [`SpeculativeLaw`]: a step that drafts and verifies; [`Acceptance`]: what that brings.
//! * [`MemoryLaw`]: weights, KV cells, `mem_fraction_static`, `max_total_num_tokens`.
//! * [`ExpertPlacement`]: which rank has which experts, and how unequal that makes their loads.
//! * [`TransferLaw`]: KV from a prefill to a decode worker.
//! * [`cuda_graph_sizes`], [`speculative_cuda_graph_sizes`], [`padded_batch`]: captured CUDA graphs.
//!
//! # How far to trust it
//!
//! Without a calibration θ is [`Coefficients::for_architecture`]. Hopper's values are rounded from fits
//! to public timings of single operators on an H100, which they meet with a median error of 3 to 5 %
//! (attention, MLA's too), 5 % (16-bit GEMM, experts), 7 % (fp8 GEMM) and 3 to 9 % (collectives); a
//! tenth of the points is off by 10 to 25 %. The other generations' are guesses by analogy.
//! `docs/fidelity.md` has the errors on shapes kept out of the fits, and what the laws cannot express.
//!
//! Left out: LoRA, fused all-reduce with norm, context parallelism, adaptive speculation, expert
//! load imbalance other than as one factor, and the dependence of attention on how unequal the
//! sequences of a batch are.

mod calibration;
mod coefficients;
mod error;
mod expert_load;
mod features;
mod graphs;
mod hardware;
mod host_copy;
mod memory;
pub mod operator;
mod plan;
mod scope;
mod speculative;
mod step;
#[cfg(feature = "testing")]
pub mod testing;
mod transfer;

pub use calibration::{Calibration, CalibrationError, CalibrationTable, DATASHEET, HeldOut};
pub use coefficients::{CoefficientInfo, Coefficients, Theta};
pub use error::KernelError;
pub use expert_load::ExpertPlacement;
pub use features::{Features, RankFeatures, StepFeatures};
pub use graphs::{cuda_graph_sizes, padded_batch, speculative_cuda_graph_sizes};
pub use hardware::Hardware;
pub use host_copy::{HostCopyCoefficients, HostCopyLaw, HostCopyProgram, HostCopyTheta};
pub use memory::{
    MemoryFit, MemoryLaw, MemoryOptions, Settings, default_chunked_prefill_size,
    default_cuda_graph_max_bs,
};
pub use operator::{Fastest, LawSet, OperatorLaw};
pub use plan::{MoeA2aBackend, ParallelPlan};
pub use speculative::{
    Acceptance, Speculation, SpeculativeAlgorithm, SpeculativeConfig, SpeculativeKnobs,
    SpeculativeLaw,
};
pub use step::{
    Breakdown, HostCoefficients, HostTheta, Knobs, Operator, OperatorTime, Regime, Roofline,
    StepLaw, StepProgram,
};
pub use transfer::{
    KvPath, TransferCoefficients, TransferCost, TransferLaw, TransferProgram, TransferTheta,
};
