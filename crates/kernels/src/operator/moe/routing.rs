//! How tokens spread over experts: the load of the busiest rank.

use sglsim_expr::{Expr, ln, max, min, piecewise, pow, sqrt};

use super::Experts;
use crate::operator::present;

/// How popular the experts of a layer are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Routing {
    /// Every expert gets the same number of rows, as if dealt out.
    Balanced,
    /// Each token picks its experts by chance, all being equally likely.
    Uniform,
    /// Popularities are drawn from a density `x^−alpha` between 1 and 0.8 rows per token, and the
    /// rank is the busiest. Skewed as no trained router is; benchmarks use it as the other extreme.
    PowerLaw {
        /// Exponent, not 1, 2, 3 or 4 exactly; 1.01 and 1.2 are usual.
        alpha: f64,
    },
}

/// What the busiest rank has to do.
pub(super) struct Load {
    /// Rows through its experts \[token\].
    pub(super) rows: Expr,
    /// Experts that get at least one row \[1\].
    pub(super) active: Expr,
}

/// Normal quantile of the greatest of `n`: the mean of the maximum, over the standard deviation.
///
/// `√(2·ln n) − 0.6`, and 0 for one; within 0.1 of the exact mean up to `n` = 256.
fn greatest(n: &Expr) -> Expr {
    max(sqrt(2 * ln(n)) - 0.6, 0)
}

impl Experts {
    /// Rows and active experts of the busiest rank.
    pub(super) fn load(&self) -> Load {
        let mean = self.rows();
        let at_hand = self.num_experts / &self.ep_size;
        let some = present(&self.tokens);
        match self.routing {
            Routing::Balanced => {
                let rows = max(mean, some);
                Load { active: min(at_hand, &rows), rows }
            }
            Routing::Uniform => {
                let rows = &mean + greatest(&self.ep_size) * sqrt(&mean);
                Load { active: max(self.active_experts(), some), rows: max(rows, mean) }
            }
            Routing::PowerLaw { alpha } => self.power_law(alpha, &mean, &at_hand, &some),
        }
    }

    /// # Formula
    ///
    /// A density `x^−α` on `[l, h]` has moments `m_j = I(j+1)/I(1)`, `I(j) = (h^(j−α) − l^(j−α))/(j−α)`;
    /// `v` is its squared coefficient of variation, `s` its third central moment, both over the mean.
    /// Over `n` experts of one of `ep` ranks, with `z` the normal quantile of the greatest rank,
    ///
    /// ```text
    /// rows   = mean·(1 + z·√((v + E/(2·slots))/n) + max(z²−1, 0)·s/(6·v·n))       Cornish–Fisher
    /// active = n·P(x ≥ ½ expected row)
    /// ```
    ///
    /// Where rows are fewer than experts, popularities are drawn from `[0.01, 2]` and each row has an
    /// expert of its own.
    fn power_law(&self, alpha: f64, mean: &Expr, at_hand: &Expr, some: &Expr) -> Load {
        let cx = self.tokens.context();
        let slots = &self.tokens * self.top_k;
        let z = greatest(&self.ep_size);
        let load = |low: f64, high: &Expr| {
            let moment = |j: f64| (pow(high, j - alpha) - low.powf(j - alpha)) / (j - alpha);
            let scale = moment(1.0);
            let centre = moment(2.0) / &scale;
            let second = moment(3.0) / (&scale * &centre * &centre);
            let third = moment(4.0) / (scale * &centre * &centre * &centre);
            let variance = &second - 1;
            let skew = third - 3 * &second + 2;
            let chance = self.num_experts / max(2 * &slots, 1);
            let spread = &z * sqrt((&variance + chance) / at_hand);
            let tail = max(&z * &z - 1, 0) * skew / (6 * variance * at_hand);
            let rows = mean * min(min(1 + spread + tail, max(high / &centre, 1)), &self.ep_size);
            let row =
                (0.5 * f64::from(self.num_experts) * centre / max(&slots, 1)).clamped(low, high);
            let share = (pow(high, 1.0 - alpha) - pow(row, 1.0 - alpha))
                / (pow(high, 1.0 - alpha) - low.powf(1.0 - alpha));
            (rows, share)
        };
        let (many, share) = load(1.0, &max(0.8 * &self.tokens, 1.01));
        let (few, _) = load(0.01, &cx.constant(2));
        let is_many = slots.gt(self.num_experts);
        let rows = max(piecewise([(is_many.clone(), many)], few), some);
        let active = piecewise([(is_many, at_hand * share)], min(&rows, at_hand));
        Load { active: max(min(active, &rows), some), rows }
    }
}

trait Clamped {
    fn clamped(self, low: f64, high: &Expr) -> Expr;
}

impl Clamped for Expr {
    fn clamped(self, low: f64, high: &Expr) -> Expr {
        min(max(self, low), high)
    }
}
