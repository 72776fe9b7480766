//! Operator laws, parallel plans, memory laws and the step law, as expressions.

mod coefficients;
mod error;
mod features;
mod graphs;
mod hardware;
mod memory;
pub mod operator;
mod plan;
mod scope;
mod step;
mod transfer;

pub use coefficients::{CoefficientInfo, CoefficientRange, Coefficients, Theta};
pub use error::KernelError;
pub use features::{Features, RankFeatures, StepFeatures};
pub use graphs::{cuda_graph_sizes, padded_batch};
pub use hardware::Hardware;
pub use memory::{
    DisaggregationMode, MemoryFit, MemoryLaw, MemoryOptions, Settings,
    default_chunked_prefill_size, default_cuda_graph_max_bs,
};
pub use operator::{Fastest, LawSet, OperatorLaw};
pub use plan::{MoeA2aBackend, ParallelPlan};
pub use step::{Knobs, StepLaw, StepProgram};
pub use transfer::{TransferLaw, TransferProgram};
