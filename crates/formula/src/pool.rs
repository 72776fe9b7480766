//! A pool of workers as a formula sees it: its knobs, its memory, and the two kinds of steps that its
//! workers run.

use sglsim_engine::{NUM_RESERVED_DECODE_TOKENS, PoolPlan};
use sglsim_expr::{Constraint, Expr, Symbol, floor_div, max, min, min_of, piecewise};
use sglsim_kernels::{MemoryLaw, MemoryOptions, StepFeatures, padded_batch};
use sglsim_model::ModelShape;

use crate::FormulaError;
use crate::symbols::Symbols;

/// Value of a cap that nobody set: beyond any memory.
pub(crate) const NO_LIMIT: f64 = 1e9;

/// A pool and the symbols of its configuration.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    plan: &'a PoolPlan,
    model: &'a ModelShape,
    scope: String,
    law: Step,
    /// Its workers \[1\].
    pub(crate) workers: Expr,
    /// GPUs of one worker \[1\].
    pub(crate) tp_size: Expr,
    /// Attention replicas of one worker \[1\].
    pub(crate) dp_size: Expr,
    /// What a configuration of the pool must obey.
    pub(crate) constraints: Vec<Constraint>,
}

/// What attention ranks compute of prompts in one step.
#[derive(Clone, Debug)]
pub(crate) struct Extend {
    /// New tokens of a rank \[token\].
    pub(crate) tokens: Expr,
    /// Query-key pairs of a rank \[token²\].
    pub(crate) pairs: Expr,
    /// Cached tokens that a rank reads \[token\].
    pub(crate) prefix: Expr,
    /// Sequences of a rank \[1\].
    pub(crate) seqs: Expr,
    /// Ranks of the worker that do so at the same time \[1\].
    pub(crate) ranks: Expr,
    /// 1 if the worker was at rest before, so that the device waits for the host \[1\].
    pub(crate) starts: Expr,
}

/// What attention ranks decode in one step.
#[derive(Clone, Debug)]
pub(crate) struct Decode {
    /// Sequences of a rank \[1\].
    pub(crate) seqs: Expr,
    /// Their mean context \[token\].
    pub(crate) context: Expr,
    /// Ranks of the worker that do so at the same time \[1\].
    pub(crate) ranks: Expr,
}

impl<'a> Pool<'a> {
    /// The pool, with `workers` as the name of the number of its workers.
    pub(crate) fn new(
        symbols: &mut Symbols,
        model: &'a ModelShape,
        plan: &'a PoolPlan,
        workers: &str,
    ) -> Result<Self, FormulaError> {
        let scope = scope(plan);
        let law = Step::of(symbols, plan)?;
        symbols.values.extend(plan.memory.values().iter());
        let doc = if scope.is_empty() { "" } else { plan.name }.to_owned() + " workers";
        let workers = symbols.knob(
            Symbol::int(workers).at_least(1.0).at_most(1e5).doc(doc.trim_start()),
            f64::from(plan.workers),
        )?;
        law.decide_sizes(symbols);
        let [tp_size, dp_size, _] = law.sizes.clone();
        let given = plan.law.constraints().iter().chain(plan.memory.constraints());
        let constraints = given.map(|constraint| imported(symbols, constraint)).collect();
        Ok(Self { plan, model, scope, law, workers, tp_size, dp_size, constraints })
    }

    /// Keeps the attention ranks at the scenario's number: latencies have a step of each kind several
    /// times, and most kinds are not there with one rank.
    pub(crate) fn settle_ranks(&mut self, symbols: &mut Symbols) {
        symbols.settle(&self.dp_size);
        let given = symbols.constant(self.plan.plan.dp_size);
        let settled = |expr: &Expr| expr.substitute(&[(&self.dp_size, given.clone())]);
        self.law.time = settled(&self.law.time);
        for constraint in &mut self.constraints {
            constraint.holds = settled(&constraint.holds);
        }
        self.dp_size = given;
    }

    /// A name in the scope of the pool.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.scope)
    }

    /// Whether a worker has a single attention rank in the scenario.
    pub(crate) fn has_one_rank(&self) -> bool {
        self.plan.plan.dp_size == 1
    }

    /// Whether a step is chosen while the one before runs.
    pub(crate) fn overlaps(&self) -> bool {
        self.plan.overlaps()
    }

    /// GPUs of all workers \[1\].
    pub(crate) fn gpus(&self) -> Expr {
        &self.workers * &self.tp_size
    }

    /// Attention ranks of all workers \[1\].
    pub(crate) fn ranks(&self) -> Expr {
        &self.workers * &self.dp_size
    }

    /// Adds a constraint under a name in the scope of the pool.
    pub(crate) fn must(&mut self, name: &str, doc: &str, holds: Expr) {
        self.constraints.push(Constraint::new(self.name(name), holds, doc));
    }

    /// Tokens that one rank computes in one step, `chunked_prefill_size` divided by the ranks as
    /// SGLang does \[token\]; `None` if prompts are not cut.
    pub(crate) fn chunk(&mut self, symbols: &mut Symbols) -> Result<Option<Expr>, FormulaError> {
        if self.plan.scheduler.chunked_prefill_size.is_none() {
            return Ok(None);
        }
        let knob = symbols.knob(
            Symbol::int(self.name("chunked_prefill_size"))
                .positive()
                .unit("token")
                .doc("tokens of one prefill step"),
            f64::from(self.plan.fit.settings.chunked_prefill_size),
        )?;
        self.must("chunk_for_every_rank", "every rank has a chunk", knob.ge(&self.dp_size));
        Ok(Some(max(1, floor_div(knob, &self.dp_size))))
    }

    /// Tokens of one rank's prefill step when prompts of `mean_new` uncached tokens wait \[token\].
    ///
    /// Chunks are filled up from the queue. Without chunks whole prompts are taken up to
    /// `max_prefill_tokens`.
    pub(crate) fn full_chunk(
        &mut self,
        symbols: &mut Symbols,
        mean_new: &Expr,
    ) -> Result<Expr, FormulaError> {
        let budget = symbols.parameter(
            Symbol::int(self.name("max_prefill_tokens"))
                .positive()
                .unit("token")
                .doc("input budget of one prefill pass"),
            f64::from(self.plan.config.max_prefill_tokens),
        )?;
        let by_budget = max(budget, mean_new);
        Ok(match self.chunk(symbols)? {
            Some(chunk) => min(chunk, by_budget),
            None => by_budget,
        })
    }

    /// Capacity of a rank's KV cache under the cap `max_total_tokens` \[token\].
    pub(crate) fn kv_tokens(&self, symbols: &mut Symbols) -> Result<Expr, FormulaError> {
        let cap = symbols.knob(
            Symbol::int(self.name("max_total_tokens"))
                .positive()
                .unit("token")
                .doc("upper limit of the KV cache of one rank"),
            self.plan.config.max_total_tokens.map_or(NO_LIMIT, |tokens| tokens as f64),
        )?;
        // The law without the scenario's own cap, which is a value of the knob.
        let options = MemoryOptions { max_total_tokens: None, ..self.plan.memory_options.clone() };
        let law = MemoryLaw::of(
            cap.context(),
            &self.scope,
            self.model,
            self.plan.topology.gpu(),
            &self.plan.plan,
            &options,
        )?;
        Ok(min(law.max_total_num_tokens(), cap))
    }

    /// Sequences that decode at once on one rank, under the cap `max_running_requests` of the worker
    /// and with `held` KV slots each \[1\]; at least 1, which a constraint demands.
    pub(crate) fn decode_batch(
        &mut self,
        symbols: &mut Symbols,
        held: &Expr,
    ) -> Result<Expr, FormulaError> {
        let given = self.plan.config.max_running_requests;
        let cap = symbols.knob(
            Symbol::int(self.name("max_running_requests"))
                .positive()
                .doc("most requests of one worker that run at once"),
            given.map_or(NO_LIMIT, f64::from),
        )?;
        let kv = self.kv_tokens(symbols)?;
        let by_cap = floor_div(cap, &self.dp_size);
        // SGLang's default is a cap, too, unless the user sets one; half the slots always is one
        // (`mem_cache/kv_cache_configurator.py`).
        let by_slots = match given {
            Some(_) => floor_div(&kv, 2),
            None => symbols.import(self.plan.memory.max_running_requests()),
        };
        let batch = min_of([by_cap, by_slots, floor_div(kv, held)]);
        self.must("holds_one_request", "there is room for one request", batch.ge(1));
        Ok(max(1, batch).named(
            self.name("batch_size"),
            "1",
            "sequences that can decode at once on one rank",
        ))
    }

    /// Demands that a rank's KV cache holds so many tokens.
    pub(crate) fn must_hold(
        &mut self,
        symbols: &mut Symbols,
        tokens: &Expr,
    ) -> Result<(), FormulaError> {
        let kv = self.kv_tokens(symbols)?;
        self.must("holds_request", "the request fits the KV cache", tokens.le(kv));
        Ok(())
    }

    /// KV slots that a decode worker keeps free beside each request \[token\].
    pub(crate) fn reserve(&self, symbols: &mut Symbols) -> Result<Expr, FormulaError> {
        let symbol = Symbol::int(self.name("num_reserved_decode_tokens"))
            .non_negative()
            .unit("token")
            .doc("KV slots kept free beside each request");
        Ok(symbols.parameter(symbol, NUM_RESERVED_DECODE_TOKENS as f64)?)
    }

    /// Time of a step in which ranks extend and none decodes \[s\].
    pub(crate) fn extend_step(&self, extend: &Extend) -> Expr {
        let Extend { tokens, pairs, prefix, seqs, ranks, starts } = extend;
        self.law.at(&[
            ("serial", &self.serial(starts)),
            ("extend_tokens", tokens),
            ("extend_pairs", pairs),
            ("extend_prefix", prefix),
            ("extend_seqs", seqs),
            ("logit_rows", seqs),
            ("tokens", tokens),
            ("eager", &self.tp_size.context().constant(1)),
            ("sum_tokens", &(ranks * tokens)),
            ("sum_logit_rows", &(ranks * seqs)),
        ])
    }

    /// Time of a step in which some ranks extend and others decode, as far as there are any; no
    /// rank can replay a CUDA graph then \[s\].
    pub(crate) fn mixed_step(&self, extend: &Extend, decode: &Decode) -> Expr {
        let there_is_one = min(1, &decode.ranks);
        let seqs = &there_is_one * &decode.seqs;
        let rows = &decode.ranks * &decode.seqs;
        self.law.at(&[
            ("serial", &self.serial(&extend.starts)),
            ("extend_tokens", &extend.tokens),
            ("extend_pairs", &extend.pairs),
            ("extend_prefix", &extend.prefix),
            ("extend_seqs", &extend.seqs),
            ("decode_seqs", &seqs),
            ("decode_padded", &seqs),
            ("decode_context", &(&seqs * &decode.context)),
            ("query_tokens", &there_is_one),
            ("logit_rows", &max(&extend.seqs, &seqs)),
            ("tokens", &max(&extend.tokens, &seqs)),
            ("eager", &self.tp_size.context().constant(1)),
            ("sum_tokens", &(&extend.ranks * &extend.tokens + &rows)),
            ("sum_logit_rows", &(&extend.ranks * &extend.seqs + &rows)),
        ])
    }

    /// Time of a step in which `seqs` sequences of mean context `context` decode on each rank \[s\].
    ///
    /// With CUDA graphs all ranks pad to the graph of the largest batch; above the largest graph, and
    /// without graphs, kernels are launched one by one.
    pub(crate) fn decode_step(
        &self,
        symbols: &mut Symbols,
        seqs: &Expr,
        context: &Expr,
    ) -> Result<Expr, FormulaError> {
        let (padded, eager) = if self.plan.cuda_graphs.is_empty() {
            (seqs.clone(), symbols.constant(1))
        } else {
            let largest = self.largest_graph(symbols)?;
            let padded = padded_batch(seqs, &largest);
            (padded, piecewise([(seqs.le(&largest), 0)], 1))
        };
        let padded = padded.named(self.name("padded_batch_size"), "1", "rows of a decode step");
        let starts = symbols.constant(0);
        Ok(self.decode(seqs, context, [&padded, &eager, &self.dp_size, &starts]))
    }

    /// Whether the device waits while the host prepares a step: always in the normal loop, in the overlap
    /// loop if the worker was at rest before \[1\].
    fn serial(&self, starts: &Expr) -> Expr {
        if self.plan.overlaps() { starts.clone() } else { starts.context().constant(1) }
    }

    /// Time of a step in which one sequence decodes on one rank, all others having nothing to do; before
    /// it the worker was at rest if `starts` is 1 \[s\].
    pub(crate) fn decode_step_alone(&self, context: &Expr, starts: &Expr) -> Expr {
        let cx = self.tp_size.context();
        let (zero, one) = (cx.constant(0), cx.constant(1));
        // Idle ranks join a graph, so that the collectives match; without graphs they have no rows.
        if self.plan.cuda_graphs.is_empty() {
            self.decode(&one, context, [&one, &one, &one, starts])
        } else {
            self.decode(&one, context, [&one, &zero, &self.dp_size, starts])
        }
    }

    fn decode(
        &self,
        seqs: &Expr,
        context: &Expr,
        [padded, eager, ranks, starts]: [&Expr; 4],
    ) -> Expr {
        let sum = ranks * padded;
        self.law.at(&[
            ("serial", &self.serial(starts)),
            ("decode_seqs", seqs),
            ("decode_padded", padded),
            ("decode_context", &(seqs * context)),
            ("query_tokens", &self.tp_size.context().constant(1)),
            ("logit_rows", padded),
            ("tokens", padded),
            ("eager", eager),
            ("sum_tokens", &sum),
            ("sum_logit_rows", &sum),
        ])
    }

    fn largest_graph(&self, symbols: &mut Symbols) -> Result<Expr, FormulaError> {
        let symbol = Symbol::int(self.name("cuda_graph_max_bs"))
            .positive()
            .doc("largest captured decode batch");
        let largest = self.plan.fit.settings.cuda_graph_max_bs;
        Ok(symbols.parameter(symbol, f64::from(largest))?)
    }
}

/// The step law of a pool in the context of a formula.
#[derive(Debug)]
pub(crate) struct Step {
    /// Time of a step \[s\].
    pub(crate) time: Expr,
    /// Symbols of the features, in the order of [`StepFeatures::NAMES`].
    pub(crate) features: Vec<Expr>,
    /// `tp_size`, `dp_size`, `ep_size`.
    sizes: [Expr; 3],
}

impl Step {
    pub(crate) fn of(symbols: &mut Symbols, plan: &PoolPlan) -> Result<Self, FormulaError> {
        symbols.values.extend(plan.law.values().iter());
        let mut time = plan.law.step_time();
        if let Some((_, law)) = &plan.speculation {
            symbols.values.extend(law.values().iter());
            time = law.iteration_time();
        }
        let knobs = plan.law.knobs();
        let sizes = [&knobs.tp_size, &knobs.dp_size, &knobs.ep_size];
        let declared = knobs.tp_size.context().symbols();
        let scope = scope(plan);
        let mut features = Vec::new();
        for name in StepFeatures::NAMES {
            let name = format!("{scope}{name}");
            let symbol = declared.iter().find(|symbol| symbol.name == name);
            let symbol = symbol.expect("a step law declares all features").clone();
            features.push(symbols.context().symbol(symbol)?);
        }
        Ok(Self {
            time: symbols.import(time),
            features,
            sizes: sizes.map(|size| symbols.import(size)),
        })
    }

    /// Makes the parallel sizes something to decide.
    pub(crate) fn decide_sizes(&self, symbols: &mut Symbols) {
        for size in &self.sizes {
            symbols.decide(size);
        }
    }

    /// Time of a step with these features; those that are not given are zero \[s\].
    fn at(&self, features: &[(&str, &Expr)]) -> Expr {
        let zero = self.time.context().constant(0);
        debug_assert!(features.iter().all(|(name, _)| StepFeatures::NAMES.contains(name)));
        let value = |name: &str| {
            let given = features.iter().find(|(given, _)| *given == name);
            given.map_or(zero.clone(), |(_, value)| (*value).clone())
        };
        let values = StepFeatures::NAMES.map(value);
        let pairs: Vec<(&Expr, Expr)> = self.features.iter().zip(values).collect();
        self.time.substitute(&pairs)
    }
}

/// What stands before the names of a pool's symbols.
pub(crate) fn scope(plan: &PoolPlan) -> String {
    let tp_size = plan.law.knobs().tp_size.name().unwrap_or_default();
    tp_size.strip_suffix("tp_size").unwrap_or_default().to_owned()
}

/// A constraint of a law in the context of a formula.
pub(crate) fn imported(symbols: &Symbols, constraint: &Constraint) -> Constraint {
    // A truth value cannot be added to; it meets the context in a conjunction.
    let holds = symbols.context().truth(true).and(&constraint.holds);
    Constraint { holds, ..constraint.clone() }
}
