//! What fits into a GPU: weights, KV cache, and the reserve that SGLang leaves for the rest.

use serde::{Deserialize, Serialize};
use sglsim_expr::{
    Constraint, Context, Expr, Symbol, Values, floor, floor_div, max, min, piecewise,
};
use sglsim_hw::Gpu;
use sglsim_model::ModelShape;
use sglsim_units::{Bytes, DisaggregationMode, TokenCount};

use crate::scope::Scope;
use crate::speculative::MAX_RUNNING_REQUESTS;
use crate::step::Stage;
use crate::{KernelError, Knobs, MoeA2aBackend, ParallelPlan, Speculation};

mod defaults;
mod fraction;
mod share;

pub use defaults::{default_chunked_prefill_size, default_cuda_graph_max_bs};

/// Server arguments that decide how memory is divided; `None` is SGLang's default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryOptions {
    /// Role of the worker.
    pub disaggregation_mode: DisaggregationMode,
    /// Share of the memory for weights and KV cache, in (0, 1) \[1\].
    pub mem_fraction_static: Option<f64>,
    /// Tokens of one prefill step \[token\].
    pub chunked_prefill_size: Option<u32>,
    /// Largest captured decode batch \[1\].
    pub cuda_graph_max_bs: Option<u32>,
    /// Whether nothing is captured, neither decode nor prefill.
    pub disable_cuda_graph: bool,
    /// Most requests that run at once, over all attention replicas \[1\].
    pub max_running_requests: Option<u32>,
    /// Most tokens in the KV cache of a rank \[token\].
    pub max_total_tokens: Option<TokenCount>,
    /// Tokens per page of the KV cache \[token\].
    pub page_size: u32,
    /// Longest context \[token\]; the model's if `None`.
    pub context_length: Option<u32>,
    /// Speculative decoding, if there is any: its draft model takes memory too.
    pub speculation: Option<Speculation>,
    /// Memory that is gone before the weights are loaded: CUDA context and communicators \[B\].
    /// Assumed to be 1 GiB.
    pub runtime_bytes: Bytes,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        Self {
            disaggregation_mode: DisaggregationMode::Null,
            mem_fraction_static: None,
            chunked_prefill_size: None,
            cuda_graph_max_bs: None,
            disable_cuda_graph: false,
            max_running_requests: None,
            max_total_tokens: None,
            page_size: 1,
            context_length: None,
            speculation: None,
            runtime_bytes: Bytes::new(1_073_741_824.0).expect("1 GiB is a size"),
        }
    }
}

/// How the memory of one GPU is divided, as expressions in the parallel sizes and the options.
///
/// # Formula
///
/// ```text
/// free = hbm_capacity − runtime_memory
/// max_total_num_tokens = ⌊(free·mem_fraction_static − weight_bytes) / cell_bytes⌋  in whole pages
/// ```
///
/// With pipeline stages it is the least over them; a draft model adds its weights and its layers' KV.
///
/// # Source
///
/// SGLang 0.5.23, `model_executor/pool_configurator.py`, `mem_cache/kv_cache_configurator.py`,
/// `arg_groups/memory_hook.py`. Sliding-window layers are given as much memory as the others, where
/// SGLang gives them a smaller pool.
///
/// ```
/// use sglsim_expr::Context;
/// use sglsim_hw::Gpu;
/// use sglsim_kernels::{MemoryLaw, MemoryOptions, ParallelPlan};
/// use sglsim_model::ModelShape;
///
/// let (h100, model) = (Gpu::preset("H100")?, ModelShape::preset("Llama-3.1-70B")?);
/// let options = MemoryOptions::default();
/// let law = MemoryLaw::of(&Context::new(), "", &model, &h100, &ParallelPlan::tensor(4), &options)?;
/// let fit = law.fit()?;
/// assert_eq!(fit.cell_bytes.get(), 327_680.0 / 4.0);
/// assert!(fit.max_total_num_tokens > 300_000);
///
/// let alone = MemoryLaw::of(&Context::new(), "", &model, &h100, &ParallelPlan::tensor(1), &options)?;
/// assert!(alone.fit().unwrap_err().to_string().ends_with("the smallest tp_size that fits is 4"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryLaw {
    weight_bytes: Expr,
    cell_bytes: Expr,
    mem_fraction_static: Expr,
    max_total_num_tokens: Expr,
    max_running_requests: Expr,
    available: Expr,
    constraints: Vec<Constraint>,
    values: Values,
    settings: Settings,
    page_size: u32,
    model: ModelShape,
    plan: ParallelPlan,
    tp_name: String,
    ep_name: String,
}

/// Settings after SGLang's defaults were filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Tokens of one prefill step, over all attention replicas \[token\].
    pub chunked_prefill_size: u32,
    /// Largest captured decode batch \[1\].
    pub cuda_graph_max_bs: u32,
    /// Longest context \[token\].
    pub context_length: u32,
}

/// How the memory of one GPU is divided, in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemoryFit {
    /// Weights per GPU \[B\].
    pub weight_bytes: Bytes,
    /// KV cache of a token on one rank, over all layers \[B\].
    pub cell_bytes: Bytes,
    /// Share of the memory for weights and KV cache \[1\].
    pub mem_fraction_static: f64,
    /// Capacity of the KV cache of one attention replica \[token\].
    pub max_total_num_tokens: TokenCount,
    /// Most requests that run at once on one attention replica \[1\].
    pub max_running_requests: TokenCount,
    /// Settings with their defaults.
    pub settings: Settings,
}

impl MemoryLaw {
    /// The law of one worker. `scope` is put in front of every symbol's name; the parallel sizes are
    /// the same symbols as those of a [`StepLaw`](crate::StepLaw) of the same scope.
    ///
    /// # Errors
    ///
    /// [`KernelError::Memory`] for an option out of range, and the errors of
    /// [`ParallelPlan::check`]. That nothing fits is found by [`MemoryLaw::fit`].
    pub fn of(
        cx: &Context,
        scope: &str,
        model: &ModelShape,
        gpu: &Gpu,
        plan: &ParallelPlan,
        options: &MemoryOptions,
    ) -> Result<Self, KernelError> {
        plan.check(model, plan.gpus())?;
        let settings = options.settings(model, gpu, plan)?;
        let mut scope = Scope::new(cx, scope);
        let knobs = Knobs::declare(&mut scope, plan)?;
        let mut size = |name: &str, doc: &str, value: f64| {
            scope.valued(Symbol::real(name).non_negative().unit("B").doc(doc), value)
        };
        let hbm_capacity = size("hbm_capacity", "device memory", gpu.hbm_capacity.get())?;
        let runtime = size(
            "runtime_memory",
            "memory that is gone before weights are loaded",
            options.runtime_bytes.get(),
        )?;
        let page_size = scope.valued(
            Symbol::int("page_size").positive().unit("token").doc("tokens per KV page"),
            f64::from(options.page_size),
        )?;
        let mem_fraction_static = match options.mem_fraction_static {
            Some(given) => scope.valued(
                Symbol::real("mem_fraction_static")
                    .positive()
                    .at_most(1.0)
                    .doc("share of the memory for weights and KV cache"),
                given,
            )?,
            None => {
                let derived = fraction::static_fraction(
                    &mut scope,
                    &knobs,
                    (&hbm_capacity, gpu, model),
                    (plan, options, &settings),
                )?;
                derived.named(
                    scope.name("mem_fraction_static"),
                    "1",
                    "share of the memory for weights and KV cache",
                )
            }
        };
        let label = |name, unit, doc, expr: Expr| expr.named(scope.name(name), unit, doc);
        let available = (&hbm_capacity - &runtime) * &mem_fraction_static;
        let on_stage = |stage| {
            let draft = options.speculation.as_ref().and_then(|all| all.draft.as_ref());
            let mut weights = share::weight_bytes(model, &knobs, plan, stage);
            let mut cell = share::cell_bytes(model, &knobs, stage);
            if let Some(draft) = draft {
                weights = weights + share::draft_bytes(draft, &knobs, &plan.for_draft(draft));
                // SGLang sizes a draft's layers like its target's.
                cell = cell * (model.layers + draft.shape.layers) / model.layers;
            }
            (weights, cell)
        };
        let room_for = |(weights, cell): &(Expr, Expr)| max(0, &available - weights) / cell;
        let whole = on_stage(None);
        let mut room = room_for(&whole);
        let (mut weights, mut cell) = whole;
        if plan.pp_size > 1 {
            let [first, last] = [Stage::First, Stage::Last].map(|stage| on_stage(Some(stage)));
            let staged =
                |one: &Expr, several: Expr| piecewise([(knobs.pp_size.le(1), one)], several);
            room = staged(&room, min(room_for(&first), room_for(&last)));
            weights = staged(&weights, max(&first.0, &last.0));
            cell = staged(&cell, max(&first.1, &last.1));
        }
        let weight_bytes = label("weight_bytes", "B", "weights per GPU", weights);
        let cell_bytes = label("cell_bytes", "B", "KV of a token on one rank", cell);
        if let Some(limit) = options.max_total_tokens {
            room = min(room, limit);
        }
        let tokens = &page_size * floor_div(room, &page_size);
        let max_total_num_tokens =
            label("max_total_num_tokens", "token", "capacity of a rank's KV cache", tokens);
        let max_running_requests = label(
            "rank_max_running_requests",
            "1",
            "most requests that run at once on one attention replica",
            running_requests(&max_total_num_tokens, &knobs, options, &settings),
        );
        max_running_requests.check()?;
        let fits = Constraint {
            name: scope.name("fits"),
            doc: "weights and one page of KV fit the GPU".to_owned(),
            holds: (&weight_bytes + &page_size * &cell_bytes).le(&available),
        };
        Ok(Self {
            tp_name: scope.name("tp_size"),
            ep_name: scope.name("ep_size"),
            constraints: vec![fits],
            weight_bytes,
            cell_bytes,
            mem_fraction_static,
            max_total_num_tokens,
            max_running_requests,
            available,
            values: scope.values,
            settings,
            page_size: options.page_size,
            model: model.clone(),
            plan: *plan,
        })
    }

    /// Weights per GPU \[B\].
    #[must_use]
    pub fn weight_bytes(&self) -> &Expr {
        &self.weight_bytes
    }

    /// KV cache of a token on one rank, over all layers \[B\].
    #[must_use]
    pub fn cell_bytes(&self) -> &Expr {
        &self.cell_bytes
    }

    /// Share of the memory for weights and KV cache \[1\].
    #[must_use]
    pub fn mem_fraction_static(&self) -> &Expr {
        &self.mem_fraction_static
    }

    /// Capacity of the KV cache of one attention replica \[token\].
    #[must_use]
    pub fn max_total_num_tokens(&self) -> &Expr {
        &self.max_total_num_tokens
    }

    /// Most requests that run at once on one attention replica \[1\].
    #[must_use]
    pub fn max_running_requests(&self) -> &Expr {
        &self.max_running_requests
    }

    /// That weights and one page of KV fit.
    #[must_use]
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Settings with SGLang's defaults filled in.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// This scenario's value of every symbol.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The division in this scenario.
    ///
    /// # Errors
    ///
    /// [`KernelError::DoesNotFit`] if there is no room for one page, with the smallest `tp_size` at
    /// which there is.
    pub fn fit(&self) -> Result<MemoryFit, KernelError> {
        let value = |expr: &Expr| expr.evaluate(&self.values);
        let tokens = value(&self.max_total_num_tokens)?;
        let (weights, cell) = (value(&self.weight_bytes)?, value(&self.cell_bytes)?);
        if tokens < f64::from(self.page_size) {
            return Err(KernelError::DoesNotFit {
                needed: Bytes::new(weights + cell * f64::from(self.page_size))?,
                available: Bytes::new(value(&self.available)?.max(0.0))?,
                tp_size: self.plan.tp_size,
                smallest_tp_size: self.smallest_tp_size()?,
            });
        }
        Ok(MemoryFit {
            weight_bytes: Bytes::new(weights)?,
            cell_bytes: Bytes::new(cell)?,
            mem_fraction_static: value(&self.mem_fraction_static)?,
            max_total_num_tokens: tokens as TokenCount,
            max_running_requests: value(&self.max_running_requests)? as TokenCount,
            settings: self.settings,
        })
    }

    fn smallest_tp_size(&self) -> Result<Option<u32>, KernelError> {
        const MOST: u32 = 256;
        for tp_size in 1..=MOST {
            let ep_size = match self.plan.moe_a2a_backend {
                MoeA2aBackend::None => self.plan.ep_size,
                MoeA2aBackend::DeepEp => tp_size,
            };
            let plan = ParallelPlan { tp_size, ep_size, ..self.plan };
            if plan.check(&self.model, MOST).is_err() {
                continue;
            }
            let values = self
                .values
                .clone()
                .with(self.tp_name.as_str(), f64::from(tp_size))
                .with(self.ep_name.as_str(), f64::from(ep_size));
            let tokens = self.max_total_num_tokens.evaluate(&values)?;
            if tokens >= f64::from(self.page_size) {
                return Ok(Some(tp_size));
            }
        }
        Ok(None)
    }
}

impl MemoryOptions {
    /// Most requests that run at once over all attention replicas, if there is a limit: the one
    /// given, or 48 with speculation.
    fn running_limit(&self) -> Option<u32> {
        let usual = self.speculation.as_ref().map(|_| MAX_RUNNING_REQUESTS);
        self.max_running_requests.or(usual)
    }

    /// Fills in the defaults and checks the ranges.
    fn settings(
        &self,
        model: &ModelShape,
        gpu: &Gpu,
        plan: &ParallelPlan,
    ) -> Result<Settings, KernelError> {
        let wrong = |field, value, allowed| Err(KernelError::Memory { field, value, allowed });
        if let Some(share) = self.mem_fraction_static
            && !(0.0 < share && share < 1.0)
        {
            return wrong("mem_fraction_static", share, "> 0 and < 1");
        }
        let counts = [
            ("chunked_prefill_size", self.chunked_prefill_size),
            ("cuda_graph_max_bs", self.cuda_graph_max_bs),
            ("max_running_requests", self.max_running_requests),
            ("page_size", Some(self.page_size)),
            ("context_length", self.context_length),
        ];
        if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
            return wrong(field, 0.0, ">= 1");
        }
        if let Some(most) = self.running_limit()
            && most < plan.dp_size
        {
            return wrong("max_running_requests", f64::from(most), ">= dp_size");
        }
        let chunk = self.chunked_prefill_size.unwrap_or_else(|| default_chunked_prefill_size(gpu));
        if !chunk.is_multiple_of(self.page_size) {
            return wrong("chunked_prefill_size", f64::from(chunk), "a multiple of page_size");
        }
        // SGLang caps only its own default at the requested concurrency, and knows of the 48 requests
        // that speculation is given later.
        let graph = self.cuda_graph_max_bs.unwrap_or_else(|| {
            let most = self.max_running_requests.unwrap_or(u32::MAX);
            default_cuda_graph_max_bs(gpu, plan.tp_size).min(most)
        });
        Ok(Settings {
            chunked_prefill_size: chunk,
            cuda_graph_max_bs: graph,
            context_length: self.context_length.unwrap_or(model.max_position_embeddings),
        })
    }
}

/// SGLang 0.5.23, `mem_cache/kv_cache_configurator.py`.
fn running_requests(
    pool: &Expr,
    knobs: &Knobs,
    options: &MemoryOptions,
    settings: &Settings,
) -> Expr {
    let half = floor_div(pool, 2);
    match options.running_limit() {
        Some(given) => min(floor(given / &knobs.dp_size), half),
        None => {
            let by_context = floor(pool * 512 / settings.context_length);
            min(max(min(by_context, 4096), 2048), half)
        }
    }
}

#[cfg(test)]
mod tests;
