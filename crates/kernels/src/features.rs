//! The feature vector of a step: all that its cost depends on.

use sglsim_expr::{Expr, Symbol};

use crate::KernelError;
use crate::scope::Scope;

/// Declares the values, their names and their symbols from one list, so that they cannot disagree.
macro_rules! features {
    ($($name:ident: $kind:ident [$unit:literal] $doc:literal;)+) => {
        /// What the cost of one step depends on: maxima over the attention ranks of a worker, and
        /// for `sum_…` the sum over them.
        ///
        /// A worker without attention DP has one attention rank, whatever its `tp_size`: tensor
        /// parallel ranks all see the same batch. `serial` is the worker's, set by its event loop. All values are counts, so they are finite and
        /// not negative.
        ///
        /// ```
        /// use sglsim_kernels::{RankFeatures, StepFeatures};
        ///
        /// let mut rank = RankFeatures::default();
        /// rank.add_extend(100, 50); // 50 new tokens behind 100 cached ones
        /// let step = StepFeatures::of_ranks([&rank]);
        /// assert_eq!(step.extend_pairs, 50.0 * (100.0 + 25.5));
        /// assert_eq!(step.tokens, 50.0);
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct StepFeatures {
            $(#[doc = concat!($doc, " \\[", $unit, "\\].")] pub $name: f64,)+
        }

        impl StepFeatures {
            /// Names of the features, in the order of [`StepFeatures::as_array`].
            pub const NAMES: [&str; Self::COUNT] = [$(stringify!($name)),+];
            /// Number of features.
            pub const COUNT: usize = [$(stringify!($name)),+].len();

            /// The values in the order of [`StepFeatures::NAMES`].
            #[must_use]
            pub fn as_array(&self) -> [f64; Self::COUNT] {
                [$(self.$name),+]
            }
        }

        /// The features as symbols, as the laws of a step see them.
        #[derive(Clone, Debug)]
        pub struct Features {
            $(#[doc = concat!($doc, " \\[", $unit, "\\].")] pub $name: Expr,)+
        }

        impl Features {
            pub(crate) fn declare(scope: &mut Scope<'_>) -> Result<Self, KernelError> {
                Ok(Self {
                    $($name: scope.input(
                        features!(@$kind stringify!($name)).unit($unit).doc($doc),
                    )?,)+
                })
            }
        }
    };
    (@count $name:expr) => { Symbol::int($name).non_negative() };
    (@real $name:expr) => { Symbol::real($name).non_negative() };
    (@flag $name:expr) => { Symbol::int($name).at_least(0.0).at_most(1.0) };
}

features! {
    extend_tokens: count["token"] "New tokens of the sequences that extend";
    extend_pairs: real["token^2"] "Query-key pairs of the extend part, Σ new·(prefix + (new+1)/2)";
    extend_prefix: count["token"] "Cached tokens that the extend part reads, Σ prefix";
    extend_seqs: count["1"] "Sequences that extend";
    decode_seqs: count["1"] "Sequences that decode";
    decode_padded: count["1"] "Decoding sequences after padding to a captured CUDA graph";
    decode_context: count["token"] "Σ context length of the decoding sequences";
    query_tokens: count["token"] "Query tokens per decoding sequence: 1, or the verified draft tokens";
    logit_rows: count["1"] "Rows that reach the LM head";
    tokens: count["token"] "Rows through the GEMMs of one rank, extended and padded decode tokens together";
    eager: flag["1"] "1 if kernels are launched one by one, 0 if a CUDA graph is replayed";
    serial: flag["1"] "1 if the device waits while the host prepares the step, 0 if it ran the step before meanwhile";
    sum_tokens: count["token"] "Rows through the GEMMs, summed over the attention ranks";
    sum_logit_rows: count["1"] "Rows that reach the LM head, summed over the attention ranks";
}

/// The batch of one attention rank in one step, as its scheduler sees it.
///
/// Kept up by additions at events, never by a walk over the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RankFeatures {
    /// New tokens of the sequences that extend \[token\].
    pub extend_tokens: u64,
    /// Query-key pairs of the extend part \[token²\]; a multiple of ½.
    pub extend_pairs: f64,
    /// Cached tokens that the extend part reads \[token\].
    pub extend_prefix: u64,
    /// Sequences that extend.
    pub extend_seqs: u64,
    /// Sequences that decode.
    pub decode_seqs: u64,
    /// Decoding sequences after padding; equal to `decode_seqs` without a CUDA graph.
    pub decode_padded: u64,
    /// Σ context length of the decoding sequences \[token\].
    pub decode_context: u64,
    /// Query tokens per decoding sequence \[token\]; 0 if nothing decodes.
    pub query_tokens: u64,
    /// Whether this rank launches its kernels one by one instead of replaying a CUDA graph.
    pub eager: bool,
}

impl RankFeatures {
    /// Adds a sequence that extends by `new` tokens behind `prefix` cached ones \[token\].
    ///
    /// Query *i* of the new tokens attends to the prefix and to itself and its predecessors, so
    /// the pairs are Σᵢ (prefix + i) = new·(prefix + (new+1)/2).
    pub fn add_extend(&mut self, prefix: u64, new: u64) {
        self.extend_tokens += new;
        self.extend_pairs += new as f64 * (prefix as f64 + (new as f64 + 1.0) / 2.0);
        self.extend_prefix += prefix;
        self.extend_seqs += 1;
    }

    /// Sets the decode part: `seqs` sequences, run as `padded` ones, with `context` tokens of KV in
    /// all and `query_tokens` queries each.
    pub fn set_decode(&mut self, seqs: u64, padded: u64, context: u64, query_tokens: u64) {
        self.decode_seqs = seqs;
        self.decode_padded = padded.max(seqs);
        self.decode_context = context;
        self.query_tokens = query_tokens;
    }

    /// Rows through the GEMMs of this rank \[token\].
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.extend_tokens + self.decode_padded * self.query_tokens
    }

    /// Rows that reach the LM head: the last token of each extending sequence, and every query of
    /// a decoding one.
    #[must_use]
    pub fn logit_rows(&self) -> u64 {
        self.extend_seqs + self.decode_padded * self.query_tokens
    }
}

impl StepFeatures {
    /// Maxima and sums over the attention ranks of one worker. No rank gives all zeros.
    #[must_use]
    pub fn of_ranks<'a>(ranks: impl IntoIterator<Item = &'a RankFeatures>) -> Self {
        let mut step = Self::default();
        for rank in ranks {
            let (tokens, logit_rows) = (rank.tokens() as f64, rank.logit_rows() as f64);
            step.extend_tokens = step.extend_tokens.max(rank.extend_tokens as f64);
            step.extend_pairs = step.extend_pairs.max(rank.extend_pairs);
            step.extend_prefix = step.extend_prefix.max(rank.extend_prefix as f64);
            step.extend_seqs = step.extend_seqs.max(rank.extend_seqs as f64);
            step.decode_seqs = step.decode_seqs.max(rank.decode_seqs as f64);
            step.decode_padded = step.decode_padded.max(rank.decode_padded as f64);
            step.decode_context = step.decode_context.max(rank.decode_context as f64);
            step.query_tokens = step.query_tokens.max(rank.query_tokens as f64);
            step.logit_rows = step.logit_rows.max(logit_rows);
            step.tokens = step.tokens.max(tokens);
            step.eager = step.eager.max(f64::from(u8::from(rank.eager)));
            step.sum_tokens += tokens;
            step.sum_logit_rows += logit_rows;
        }
        step
    }
}

#[cfg(test)]
mod tests;
