//! `mem_fraction_static` as SGLang derives it.

use sglsim_expr::{Expr, Symbol, floor, floor_div, max, min, piecewise};
use sglsim_hw::Gpu;
use sglsim_model::{Attention, ModelShape};

use super::{DisaggregationMode, MemoryOptions, Settings};
use crate::scope::Scope;
use crate::{KernelError, Knobs, MoeA2aBackend, ParallelPlan};

const MIB: f64 = 1_048_576.0;

/// Bounds and steps of the token counts for which prefill graphs are captured: from the bound
/// before, up to this one, in such steps (SGLang 0.5.23, `arg_groups/cuda_graph_hook.py`).
const PREFILL_BUCKETS: [(u32, u32); 6] =
    [(32, 4), (256, 16), (512, 32), (1024, 64), (4096, 256), (u32::MAX, 512)];

/// Share of the memory for weights and KV cache \[1\].
///
/// # Formula
///
/// ```text
/// reserved [MiB] = 512 + 1.5·max(chunk, 2048) + tp·pp/8·1024
///   + (not prefill workers)  2·bs + [dp>1]·(3 + [bs>300]·1.5)·bs·dp
///   + (not decode workers)   8·prefill buckets, or 1536 for MLA; 1024 for DeepEP
/// at least 10240 above 60 GiB; then 2048 for DeepEP with decode graphs
/// mem_fraction_static = round((gpu − reserved)/gpu, 3)
/// ```
///
/// A decode worker has `max_running_requests` (or `bs`) in place of `chunk`, times the tokens that are
/// verified per request. Prefill graphs are off with pipeline stages and two-batch overlap, all graphs
/// with `disable_cuda_graph`.
///
/// # Source
///
/// SGLang 0.5.23, `arg_groups/memory_hook.py`. `chunk` is the value before it is divided by the
/// attention replicas.
pub(super) fn static_fraction(
    scope: &mut Scope<'_>,
    knobs: &Knobs,
    (hbm_capacity, gpu, model): (&Expr, &Gpu, &ModelShape),
    (plan, options, settings): (&ParallelPlan, &MemoryOptions, &Settings),
) -> Result<Expr, KernelError> {
    let (mode, deep_ep) =
        (options.disaggregation_mode, plan.moe_a2a_backend == MoeA2aBackend::DeepEp);
    let mut count = |name: &str, unit, doc: &str, value: u32| {
        scope.valued(Symbol::int(name).positive().unit(unit).doc(doc), f64::from(value))
    };
    let (graph, chunk) = (settings.cuda_graph_max_bs, settings.chunked_prefill_size);
    let batch = count("cuda_graph_max_bs", "1", "largest captured decode batch", graph)?;
    let chunk = count("chunked_prefill_size", "token", "tokens of one prefill step", chunk)?;

    let verified = options.speculation.as_ref().map_or(1, |all| all.num_draft_tokens);
    let activations = match (mode, options.max_running_requests) {
        (DisaggregationMode::Decode, Some(most)) => {
            max(2048, batch.context().constant(most) * verified)
        }
        (DisaggregationMode::Decode, None) => max(2048, &batch * verified),
        _ => max(2048, &chunk),
    };
    let staged = plan.pp_size > 1;
    let ranks = if staged { &knobs.tp_size * &knobs.pp_size } else { knobs.tp_size.clone() };
    let mut reserved = 512 + 1.5 * activations + ranks * 128;
    let no_graphs = options.disable_cuda_graph;
    if mode != DisaggregationMode::Prefill {
        let per_replica = 3 + piecewise([(batch.gt(300), 1.5)], 0.0);
        let replicas = piecewise([(knobs.dp_size.le(1), 0)], &knobs.dp_size);
        let graphs = if no_graphs { 0 } else { 2 };
        reserved = reserved + &batch * (graphs + per_replica * replicas);
    }
    if mode != DisaggregationMode::Decode && !plan.enable_two_batch_overlap && !no_graphs {
        let mut graphs = match &model.attention {
            Attention::Gqa(_) => 8 * prefill_buckets(&chunk),
            Attention::Mla(_) => batch.context().constant(1536),
        };
        if deep_ep {
            graphs = graphs + 1024;
        }
        if staged {
            graphs = piecewise([(knobs.pp_size.le(1), graphs)], 0);
        }
        reserved = reserved + graphs;
    }
    let gpu_mib = hbm_capacity / MIB;
    if gpu.hbm_capacity.get() > 60.0 * 1024.0 * MIB {
        reserved = max(reserved, 10240);
    }
    if deep_ep && mode != DisaggregationMode::Prefill && !no_graphs {
        reserved = reserved + 2048;
    }
    let share = (&gpu_mib - reserved) / &gpu_mib;
    // A GPU smaller than the reserve leaves nothing, which is then reported as not fitting.
    Ok(max(0, floor(share * 1000 + 0.5) / 1000))
}

/// How many token counts up to `chunk` have a prefill graph \[1\].
fn prefill_buckets(chunk: &Expr) -> Expr {
    let bounds = [0].into_iter().chain(PREFILL_BUCKETS.map(|(bound, _)| bound));
    bounds
        .zip(PREFILL_BUCKETS)
        .map(|(low, (high, step))| {
            let inside = if high == u32::MAX { chunk.clone() } else { min(chunk, high) };
            floor_div(inside - min(chunk, low), step)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sglsim_expr::{Context, Values};

    use super::*;

    /// The token counts one by one, as SGLang 0.5.23 lists them
    /// (`arg_groups/cuda_graph_hook.py:generate_prefill_cuda_graph_batch_sizes`).
    fn listed(chunk: u32) -> usize {
        let steps =
            (4..=32).step_by(4).chain((48..=256).step_by(16)).chain((288..=512).step_by(32));
        let steps = steps.chain((576..=1024).step_by(64)).chain((1280..=4096).step_by(256));
        steps.chain((4608..=chunk).step_by(512)).filter(|size| *size <= chunk).count()
    }

    proptest! {
        #[test]
        fn buckets_are_those_of_the_list(chunk in 1_u32..70_000) {
            let cx = Context::new();
            let symbol = cx.symbol(Symbol::int("chunk").positive()).unwrap();
            let values = Values::from([("chunk", f64::from(chunk))]);
            let buckets = prefill_buckets(&symbol).evaluate(&values).unwrap();
            prop_assert_eq!(buckets, listed(chunk) as f64);
        }
    }
}
