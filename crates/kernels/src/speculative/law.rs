//! What one iteration of speculative decoding costs, and what it brings.

use sglsim_expr::{Expr, Symbol, Values, max};

use super::{Acceptance, Speculation};
use crate::features::Features;
use crate::operator::present;
use crate::scope::Scope;
use crate::step::{Fusion, Pass, Setting, exposed, hidden, launch};
use crate::{KernelError, LawSet, ParallelPlan, StepLaw, StepProgram};

/// The sizes of a speculation as symbols.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpeculativeKnobs {
    /// Tokens drafted one after the other, `speculative_num_steps` \[token\].
    pub num_steps: Expr,
    /// Candidates kept at every step, `speculative_eagle_topk` \[1\].
    pub eagle_topk: Expr,
}

/// The time of one step of a worker that speculates, as an expression.
///
/// # Formula
///
/// ```text
/// t_iteration = max( t_target(f) + t_draft(f) + (s − 1)·t_draft(f'),  t_host − t_exposed ) + t_exposed
/// ```
///
/// The first term verifies `d` tokens per decoding sequence, the second runs the draft model over the
/// same tokens (*draft extend*: its KV of what was accepted, and the first candidates), the third
/// drafts: `s − 1` passes over `k` tokens per sequence. `f` are the features of the verifying step, so
/// its `query_tokens` are `d`. A step that extends has no third term: the draft model runs over the
/// prompt once, after the target.
///
/// An n-gram look-up has the first term only; its time on the host is not modelled.
///
/// # How a simulation uses it
///
/// It keeps the features as always, with `query_tokens = num_draft_tokens` for decoding sequences and
/// [`Speculation::reserved_tokens`] KV slots more per request, steps by [`SpeculativeLaw::compile`] and
/// lets every decoding sequence grow by one and a draw from [`Acceptance::probabilities`].
///
/// # Source
///
/// SGLang 0.5.23, `speculative/eagle_worker_v2.py`.
///
/// # Examples
///
/// ```
/// use sglsim_expr::Context;
/// use sglsim_hw::{Gpu, Topology};
/// use sglsim_kernels::*;
/// use sglsim_model::ModelShape;
///
/// let topology = Topology::of(Gpu::preset("H200")?)?;
/// let (model, plan) = (ModelShape::preset("DeepSeek-V3")?, ParallelPlan::tensor(8));
/// let theta = Coefficients::for_architecture(topology.gpu().architecture);
/// let target = StepLaw::of(&Context::new(), "", &model, &topology, &theta, &plan)?;
/// let config = SpeculativeConfig::new(SpeculativeAlgorithm::NextN);
/// let speculation = config.resolve(&model, None, &plan)?;
/// let law = SpeculativeLaw::of(&target, &plan, &speculation, &Acceptance::Geometric { rate: 0.8 })?;
///
/// let mut rank = RankFeatures::default();
/// rank.set_decode(1, 1, 4000, 4); // one sequence, four tokens to verify
/// let iteration = law.compile()?.seconds(&StepFeatures::of_ranks([&rank]));
/// rank.set_decode(1, 1, 4000, 1);
/// let plain = target.compile()?.seconds(&StepFeatures::of_ranks([&rank]));
/// let accepted = law.accept_length().evaluate(law.values())?;
/// assert!((accepted - 2.952).abs() < 1e-9); // 1 + 0.8 + 0.64 + 0.512
/// assert!(iteration > plain && iteration / accepted < plain);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpeculativeLaw {
    iteration_time: Expr,
    accept_length: Expr,
    time_per_token: Expr,
    parts: Vec<(&'static str, Expr)>,
    knobs: SpeculativeKnobs,
    values: Values,
    target: StepLaw,
}

impl SpeculativeLaw {
    /// The law of a worker whose target obeys `target`, with this crate's kernels.
    ///
    /// Its symbols are the target's, and `speculative_num_steps`, `speculative_eagle_topk` and the
    /// rates of `acceptance` in the same scope.
    ///
    /// # Errors
    ///
    /// [`KernelError::Acceptance`] for a rate out of range; the errors of [`StepLaw::of`].
    pub fn of(
        target: &StepLaw,
        plan: &ParallelPlan,
        speculation: &Speculation,
        acceptance: &Acceptance,
    ) -> Result<Self, KernelError> {
        Self::with_laws(target, plan, speculation, acceptance, &LawSet::default())
    }

    /// The law with kernels of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`SpeculativeLaw::of`].
    pub fn with_laws(
        target: &StepLaw,
        plan: &ParallelPlan,
        speculation: &Speculation,
        acceptance: &Acceptance,
        laws: &LawSet,
    ) -> Result<Self, KernelError> {
        let cx = target.step_time().context();
        let prefix = target.scope();
        let mut scope = Scope::new(cx, prefix);
        let mut count = |name: &str, doc: &str, value| {
            let symbol = Symbol::int(name).positive().doc(doc);
            scope.valued(symbol, f64::from(value))
        };
        let knobs = SpeculativeKnobs {
            num_steps: count(
                "speculative_num_steps",
                "tokens drafted one after the other",
                speculation.num_steps,
            )?,
            eagle_topk: count(
                "speculative_eagle_topk",
                "candidates kept at every drafting step",
                speculation.eagle_topk,
            )?,
        };
        let accept_length = acceptance.expected_length(&mut scope, speculation, &knobs)?;
        let label = |name: &str, unit, doc, expr: &Expr| expr.named(scope.name(name), unit, doc);
        let accept_length =
            label("accept_length", "token", "expected tokens per iteration", &accept_length);
        let verify = target.device_time();
        let mut parts = vec![("t_verify", verify.clone())];
        let mut host = target.host_time().clone();
        let mut device = verify.clone();
        if let Some(draft) = &speculation.draft {
            let f = target.features();
            let drafted = drafting(f, &knobs);
            let joined = Fusion { joined: draft.joined, wide_attention: draft.wide_attention };
            let plan = plan.for_draft(draft);
            let pass = |f: &Features, fusion| {
                let (model, on) = (&draft.shape, target.hardware());
                let setting =
                    Setting { model, laws, on, knobs: target.knobs(), plan: &plan, fusion };
                Pass::new(setting, f)
            };
            let extend = pass(f, joined);
            let every = if draft.joins_every_pass { draft.joined } else { 0 };
            let forward = pass(&drafted, Fusion { joined: every, ..joined });
            let again = &knobs.num_steps - 1;
            let draft_time = label("t_draft", "s", "drafting", &(&again * forward.time()));
            let extend_time = label(
                "t_draft_extend",
                "s",
                "the draft model over the same tokens",
                &extend.time(),
            );
            let launches = extend.launches + again * forward.launches;
            host = host + launch(f, &launches, target.hardware());
            device = device + &draft_time + &extend_time;
            parts.extend([("t_draft", draft_time), ("t_draft_extend", extend_time)]);
        }
        let waits = exposed(target.features(), target.hardware());
        let iteration_time = hidden(&device, &host, &waits);
        let iteration_time = label(
            "t_iteration",
            "s",
            "time of a step of a worker that speculates",
            &iteration_time,
        );
        let time_per_token = &iteration_time / &accept_length;
        iteration_time.check()?;
        time_per_token.check()?;
        parts.push(("t_host", host));
        let mut values = target.values().clone();
        values.extend(scope.values);
        Ok(Self {
            iteration_time,
            accept_length,
            time_per_token,
            parts,
            knobs,
            values,
            target: target.clone(),
        })
    }

    /// Time of one iteration, or of a step that extends \[s\].
    #[must_use]
    pub fn iteration_time(&self) -> &Expr {
        &self.iteration_time
    }

    /// Expected tokens that a decoding sequence gains per iteration, in [1, s + 1] \[token\].
    #[must_use]
    pub fn accept_length(&self) -> &Expr {
        &self.accept_length
    }

    /// Expected time per output token of a decoding sequence \[s\].
    #[must_use]
    pub fn time_per_token(&self) -> &Expr {
        &self.time_per_token
    }

    /// Where the time goes \[s\]: `t_verify`, `t_draft`, `t_draft_extend` on the device, and `t_host`.
    #[must_use]
    pub fn parts(&self) -> &[(&'static str, Expr)] {
        &self.parts
    }

    /// The symbols of the speculation's sizes. A tree stays the one of this scenario.
    #[must_use]
    pub fn knobs(&self) -> &SpeculativeKnobs {
        &self.knobs
    }

    /// This scenario's value of every symbol that is not a feature.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The time of an iteration as a function of the features of the verifying step.
    ///
    /// # Errors
    ///
    /// [`KernelError::Expr`] if the law cannot be compiled.
    pub fn compile(&self) -> Result<StepProgram, KernelError> {
        self.target.compile_for(&self.iteration_time, &self.values)
    }
}

/// The features of a drafting pass: `k` tokens of every decoding sequence, halfway on average.
fn drafting(f: &Features, knobs: &SpeculativeKnobs) -> Features {
    let nothing = f.tokens.context().constant(0);
    let tokens = &f.decode_padded * &knobs.eagle_topk;
    // The other ranks draft as this one does, in proportion to what they verify.
    let verified = max(1, &f.query_tokens);
    let share = |sum: &Expr| present(&f.decode_padded) * sum * &knobs.eagle_topk / &verified;
    Features {
        extend_tokens: nothing.clone(),
        extend_pairs: nothing.clone(),
        extend_prefix: nothing.clone(),
        extend_seqs: nothing,
        decode_context: &f.decode_context + &f.decode_padded * (&knobs.num_steps / 2),
        query_tokens: knobs.eagle_topk.clone(),
        logit_rows: tokens.clone(),
        tokens,
        sum_tokens: share(&f.sum_tokens),
        sum_logit_rows: share(&f.sum_logit_rows),
        ..f.clone()
    }
}
