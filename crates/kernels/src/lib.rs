//! Operator laws, parallel plans, memory laws and the step law, as expressions.

mod features;
mod graphs;
mod plan;

pub use features::{RankFeatures, StepFeatures};
pub use graphs::cuda_graph_sizes;
pub use plan::ParallelPlan;
