//! How unevenly experts are used: what their placement makes of it, and what another one costs.

use sglsim_expr::{Expr, piecewise};
use sglsim_model::ModelShape;

use crate::{KernelError, StepLaw};

/// Which expert-parallel rank has which experts.
///
/// ```
/// use sglsim_kernels::ExpertPlacement;
///
/// // Two of four experts get nearly all tokens, and the first rank has both.
/// let loads = [4.0, 4.0, 1.0, 1.0];
/// let trivial = ExpertPlacement::trivial(4, 2);
/// assert_eq!(trivial.imbalance(&loads), 8.0 / 5.0);
/// let balanced = ExpertPlacement::balanced(&loads, 2);
/// assert_eq!(balanced.imbalance(&loads), 1.0);
/// assert_eq!(balanced.fetched(&trivial), 1); // each rank gets one expert from the other
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpertPlacement {
    /// Experts of each rank, ascending.
    ranks: Vec<Vec<u32>>,
}

impl ExpertPlacement {
    /// In order: the first rank has the first experts (SGLang's `init_expert_location` `trivial`). What
    /// does not divide is left to the last rank.
    #[must_use]
    pub fn trivial(experts: u32, ep_size: u32) -> Self {
        let each = (experts / ep_size.max(1)).max(1);
        let mut ranks = vec![Vec::new(); ep_size.max(1) as usize];
        for expert in 0..experts {
            let rank = (expert / each).min(ep_size.max(1) - 1);
            ranks[rank as usize].push(expert);
        }
        Self { ranks }
    }

    /// Equally many experts on each rank, and loads as equal as packing the busiest first makes them.
    ///
    /// # Source
    ///
    /// DeepSeek-V3 (arXiv:2412.19437), section 3.4; SGLang 0.5.23, `eplb/eplb_algorithms`: balanced
    /// packing, without redundant experts.
    ///
    /// # Panics
    ///
    /// Never: a model has fewer than 2^32 experts, and the ranks together have room for all.
    #[must_use]
    pub fn balanced(loads: &[f64], ep_size: u32) -> Self {
        let ranks = ep_size.max(1) as usize;
        let room = loads.len().div_ceil(ranks);
        let mut busiest: Vec<usize> = (0..loads.len()).collect();
        busiest.sort_by(|a, b| loads[*b].total_cmp(&loads[*a]));
        let mut packs = vec![(0.0, Vec::new()); ranks];
        for expert in busiest {
            let open =
                packs.iter_mut().filter(|(_, experts): &&mut (f64, Vec<u32>)| experts.len() < room);
            let (load, experts) = open
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .expect("the packs together have room for all experts");
            *load += loads[expert];
            experts.push(u32::try_from(expert).expect("a model has fewer than 2^32 experts"));
        }
        let ranks = packs.into_iter().map(|(_, mut experts)| {
            experts.sort_unstable();
            experts
        });
        Self { ranks: ranks.collect() }
    }

    /// Load of the busiest rank over the mean, at least 1 \[1\]; 1 if nothing is loaded.
    #[must_use]
    pub fn imbalance(&self, loads: &[f64]) -> f64 {
        let of = |experts: &Vec<u32>| experts.iter().map(|expert| loads[*expert as usize]).sum();
        let sums: Vec<f64> = self.ranks.iter().map(of).collect();
        let mean = sums.iter().sum::<f64>() / sums.len() as f64;
        let most = sums.iter().copied().fold(0.0, f64::max);
        if mean > 0.0 { (most / mean).max(1.0) } else { 1.0 }
    }

    /// Most experts that one rank has to fetch if `before` was the placement.
    ///
    /// # Panics
    ///
    /// Never: a model has fewer than 2^32 experts.
    #[must_use]
    pub fn fetched(&self, before: &Self) -> u32 {
        let new = self.ranks.iter().zip(&before.ranks).map(|(now, had)| {
            let missing = now.iter().filter(|expert| had.binary_search(expert).is_err());
            u32::try_from(missing.count()).expect("a model has fewer than 2^32 experts")
        });
        new.max().unwrap_or(0)
    }
}

impl StepLaw {
    /// Time in which every layer's experts are fetched anew, `experts` of them on the rank that fetches
    /// most \[s\]; nothing runs meanwhile.
    ///
    /// # Formula
    ///
    /// ```text
    /// t = layers·(t₀ + experts·expert_bytes·ep/tp / (BW·η))
    /// ```
    ///
    /// over the fast link if the whole worker is on one node.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `eplb/expert_location_updater.py`: peer-to-peer sends, layer by layer.
    ///
    /// # Errors
    ///
    /// [`KernelError::Unsupported`] if the model has no experts.
    pub fn expert_fetch_time(&self, model: &ModelShape, experts: u32) -> Result<Expr, KernelError> {
        let Some(moe) = &model.moe else {
            return Err(KernelError::Unsupported {
                field: "enable_eplb",
                value: "true".to_owned(),
                reason: format!("`{}` has no experts", model.name),
            });
        };
        let (on, knobs) = (self.hardware(), self.knobs());
        let parameters = moe.expert_parameters(u64::from(model.hidden_size));
        let bytes = f64::from(experts) * parameters as f64 * moe.expert_weights.bytes();
        let one_node = (&knobs.tp_size * &knobs.pp_size).le(&on.gpus_per_node);
        let bandwidth = piecewise([(one_node, &on.scale_up_bandwidth)], &on.scale_out_bandwidth);
        let nccl = &on.theta.nccl;
        let fetch =
            bytes * &knobs.ep_size / &knobs.tp_size / (bandwidth * &nccl.bandwidth_efficiency);
        Ok(model.moe_layers() * (&nccl.latency + fetch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every expert is somewhere, ranks have equally many, and packing is never worse than the order
        /// nor better than the busiest expert allows.
        #[test]
        fn packing_balances(per_rank in 1_u32..12, ep_size in 1_u32..9, seed in any::<u64>()) {
            let experts = per_rank * ep_size;
            let draw = |expert: u32| (seed.rotate_left(expert * 7) % 1000) as f64;
            let loads: Vec<f64> = (0..experts).map(draw).collect();
            let balanced = ExpertPlacement::balanced(&loads, ep_size);
            let mut all: Vec<u32> = balanced.ranks.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..experts).collect::<Vec<_>>());
            prop_assert!(balanced.ranks.iter().all(|rank| rank.len() == per_rank as usize));
            let found = balanced.imbalance(&loads);
            let busiest = loads.iter().copied().fold(0.0, f64::max);
            let mean = loads.iter().sum::<f64>() / f64::from(ep_size);
            prop_assert!(mean == 0.0 || found >= busiest / mean - 1e-12);
            prop_assert!((1.0..=f64::from(ep_size) + 1e-12).contains(&found));
            prop_assert_eq!(balanced.fetched(&balanced), 0);
        }
    }
}
