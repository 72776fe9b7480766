//! How many drafted tokens the target accepts.

use serde::{Deserialize, Serialize};
use sglsim_expr::{Expr, Symbol, piecewise, pow, sum};

use super::{Speculation, SpeculativeKnobs};
use crate::KernelError;
use crate::scope::Scope;

/// The law by which drafted tokens are accepted. A position counts only if all before it were accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Acceptance {
    /// Every position with the same probability.
    Geometric {
        /// Probability that the most likely candidate is accepted, in [0, 1] \[1\].
        rate: f64,
    },
    /// Every position with its own probability, as measured; positions beyond the last have its rate.
    PerPosition {
        /// Probability of each position if all before it were accepted, in [0, 1] \[1\].
        rates: Vec<f64>,
    },
    /// How often so many drafts were accepted, as a server reports it, whatever was drafted.
    Histogram {
        /// Verified sequences of which 0, 1, 2, … drafts were accepted, at most `num_steps`.
        counts: Vec<u64>,
    },
}

impl Acceptance {
    /// Probability at a position, from 1, if all before it were accepted.
    fn rate(&self, position: u32) -> f64 {
        match self {
            Self::Geometric { rate } => *rate,
            Self::PerPosition { rates } => {
                let at = (position as usize).min(rates.len());
                at.checked_sub(1).map_or(0.0, |at| rates[at])
            }
            Self::Histogram { counts } => {
                let at_least =
                    |drafts: u32| counts.iter().skip(drafts as usize).sum::<u64>() as f64;
                let before = at_least(position.saturating_sub(1));
                if before > 0.0 { at_least(position) / before } else { 0.0 }
            }
        }
    }

    /// Checks the rates.
    ///
    /// # Errors
    ///
    /// [`KernelError::Acceptance`] if there is none, or one is not in [0, 1].
    pub fn check(&self) -> Result<(), KernelError> {
        let rates = match self {
            Self::Geometric { rate } => std::slice::from_ref(rate),
            Self::PerPosition { rates } => rates.as_slice(),
            Self::Histogram { counts } if counts.iter().all(|count| *count == 0) => &[],
            Self::Histogram { .. } => return Ok(()),
        };
        let refuse = |position, value| Err(KernelError::Acceptance { position, value });
        if rates.is_empty() {
            return refuse(1, f64::NAN);
        }
        match rates.iter().position(|rate| !(0.0..=1.0).contains(rate)) {
            Some(at) => refuse(at + 1, rates[at]),
            None => Ok(()),
        }
    }

    /// Probability that exactly `j` drafted tokens are accepted, for `j` from 0 to `num_steps`: what
    /// a simulation draws from.
    ///
    /// ```
    /// # use sglsim_kernels::{Acceptance, ParallelPlan, SpeculativeAlgorithm, SpeculativeConfig};
    /// # use sglsim_model::ModelShape;
    /// # let model = ModelShape::preset("DeepSeek-V3")?;
    /// # let config = SpeculativeConfig::new(SpeculativeAlgorithm::NextN);
    /// # let speculation = config.resolve(&model, None, &ParallelPlan::tensor(8))?;
    /// let law = Acceptance::Geometric { rate: 0.5 };
    /// assert_eq!(law.probabilities(&speculation), [0.5, 0.25, 0.125, 0.125]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn probabilities(&self, speculation: &Speculation) -> Vec<f64> {
        let depth = speculation.num_steps as usize;
        if let Self::Histogram { counts } = self {
            let all: u64 = counts.iter().sum();
            let of = |drafts: usize| counts.get(drafts).map_or(0.0, |count| *count as f64);
            return (0..=depth).map(|drafts| of(drafts) / all as f64).collect();
        }
        // At least j drafts are accepted if the accepted path is in the tree to that depth.
        let mut at_least = vec![0.0; depth + 2];
        at_least[0] = 1.0;
        for node in self.tree(speculation) {
            at_least[node.ranks.len()] += node.probability;
        }
        (0..=depth).map(|j| (at_least[j] - at_least[j + 1]).max(0.0)).collect()
    }

    /// The drafted tree: the `d − 1` most probable of the candidates, each a path of ranks.
    ///
    /// Of the candidates for one position the second is accepted with the same rate as the first if
    /// that one was not, and so on. At every step the `k` most probable paths go on.
    ///
    /// Source: SGLang 0.5.23, `speculative/eagle_utils.py:organize_draft_results`.
    fn tree(&self, speculation: &Speculation) -> Vec<Node> {
        let Speculation { num_steps, eagle_topk, num_draft_tokens, .. } = speculation;
        let topk = *eagle_topk as usize;
        let mut frontier = vec![Node { ranks: Vec::new(), probability: 1.0 }];
        let mut all = Vec::new();
        for position in 1..=*num_steps {
            let rate = self.rate(position);
            let mut next: Vec<Node> = Vec::new();
            for parent in &frontier {
                for rank in 0..*eagle_topk {
                    let missed = (1.0 - rate).powi(rank as i32);
                    let mut ranks = parent.ranks.clone();
                    ranks.push(rank);
                    next.push(Node { ranks, probability: parent.probability * rate * missed });
                }
            }
            best_first(&mut next);
            all.extend_from_slice(&next);
            next.truncate(topk);
            frontier = next;
        }
        best_first(&mut all);
        all.truncate((num_draft_tokens - 1) as usize);
        all
    }

    /// Expected tokens per iteration \[token\]: the accepted drafts and the target's own next token.
    ///
    /// # Formula
    ///
    /// For a chain `Σ_{j=0..s} Π_{i≤j} aᵢ`; for a tree one plus the probabilities of all its paths.
    /// Which paths are in the tree is decided at this scenario's rates.
    pub(super) fn expected_length(
        &self,
        scope: &mut Scope<'_>,
        speculation: &Speculation,
        knobs: &SpeculativeKnobs,
    ) -> Result<Expr, KernelError> {
        self.check()?;
        let mut symbol = |name: String, value| {
            let doc = "probability that a drafted token is accepted if all before it were";
            let symbol = Symbol::real(name).non_negative().at_most(1.0).doc(doc);
            scope.valued(symbol, value)
        };
        let rates: Vec<Expr> = match self {
            Self::Geometric { rate } => vec![symbol("accept_rate".to_owned(), *rate)?],
            Self::PerPosition { .. } | Self::Histogram { .. } => (1..=speculation.num_steps)
                .map(|position| symbol(format!("accept_rate_{position}"), self.rate(position)))
                .collect::<Result<_, _>>()?,
        };
        let at = |position: usize| &rates[position.min(rates.len() - 1)];
        if speculation.eagle_topk > 1 && !matches!(self, Self::Histogram { .. }) {
            let paths = self.tree(speculation).into_iter().map(|node| {
                let steps = node.ranks.into_iter().enumerate();
                let product = steps.map(|(position, rank)| {
                    let rate = at(position);
                    rate * pow(1 - rate, rank)
                });
                product.fold(knobs.num_steps.context().constant(1), |all, step| all * step)
            });
            return Ok(paths.fold(knobs.num_steps.context().constant(1), |all, path| all + path));
        }
        if let [rate] = rates.as_slice() {
            let j = rate.context().index("j");
            return Ok(sum(&j, 0, &knobs.num_steps, pow(rate, &j)));
        }
        let mut all = rates[0].context().constant(1);
        let mut accepted = all.clone();
        for (position, rate) in (1u32..).zip(&rates) {
            accepted = accepted * rate;
            all = all + piecewise([(knobs.num_steps.ge(position), &accepted)], 0);
        }
        Ok(all)
    }
}

/// A drafted token: the ranks of the candidates on the way to it.
#[derive(Clone, Debug)]
struct Node {
    ranks: Vec<u32>,
    probability: f64,
}

/// Most probable first; parents before children and lower ranks first where equal.
fn best_first(nodes: &mut [Node]) {
    nodes.sort_by(|a, b| {
        let longer = a.ranks.len().cmp(&b.ranks.len());
        b.probability.total_cmp(&a.probability).then(longer).then_with(|| a.ranks.cmp(&b.ranks))
    });
}
