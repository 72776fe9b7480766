//! Fair shares of links: against the definition, and against a filling of everything at once that was
//! written apart.

use proptest::collection::vec;
use proptest::prelude::*;
use sglsim_engine::{FairShares, LinkId, ShareId};

use crate::scenarios::cases;

/// What is done to the links and flows.
#[derive(Clone, Debug)]
enum Op {
    /// A path and a cap.
    Add(Vec<(usize, u32)>, f64),
    /// Which of those that are there.
    Remove(prop::sample::Index),
    /// A link and a share of its first capacity.
    Capacity(usize, f64),
}

const LINKS: usize = 12;

fn op() -> impl Strategy<Value = Op> {
    let path = prop::sample::subsequence((0..LINKS).collect::<Vec<_>>(), 1..5);
    let path = path.prop_flat_map(|links| {
        let weights = vec(1_u32..9, links.len());
        weights.prop_map(move |weights| links.iter().copied().zip(weights).collect())
    });
    prop_oneof![
        4 => (path, 0.5_f64..60.0).prop_map(|(path, cap)| Op::Add(path, cap)),
        2 => any::<prop::sample::Index>().prop_map(Op::Remove),
        1 => (0..LINKS, prop_oneof![Just(0.0), 0.1_f64..2.0]).prop_map(|(l, c)| Op::Capacity(l, c)),
    ]
}

#[derive(Clone, Debug)]
struct Known {
    id: ShareId,
    path: Vec<(usize, u32)>,
    cap: f64,
}

/// Max-min fair rates, in the most plain way: all unsettled flows rise until one thing stops some.
fn plain_filling(capacities: &[f64], flows: &[Known]) -> Vec<f64> {
    let mut rates: Vec<Option<f64>> = vec![None; flows.len()];
    while rates.iter().any(Option::is_none) {
        let level_of = |link: usize| {
            let (mut left, mut weight) = (capacities[link], 0.0);
            for (flow, rate) in flows.iter().zip(&rates) {
                for (_, w) in flow.path.iter().filter(|(on, _)| *on == link) {
                    match rate {
                        Some(rate) => left -= f64::from(*w) * rate,
                        None => weight += f64::from(*w),
                    }
                }
            }
            if weight > 0.0 { left.max(0.0) / weight } else { f64::INFINITY }
        };
        let levels: Vec<f64> = (0..capacities.len()).map(level_of).collect();
        let limit =
            |flow: &Known| flow.path.iter().map(|(on, _)| levels[*on]).fold(flow.cap, f64::min);
        let unsettled = || flows.iter().zip(&rates).filter(|(_, rate)| rate.is_none());
        let level = unsettled().map(|(flow, _)| limit(flow)).fold(f64::INFINITY, f64::min);
        for (flow, rate) in flows.iter().zip(&mut rates) {
            if rate.is_none() && limit(flow) <= level * (1.0 + 1e-12) {
                *rate = Some(level);
            }
        }
    }
    rates.into_iter().map(Option::unwrap).collect()
}

fn check(shares: &FairShares, capacities: &[f64], flows: &[Known]) -> Result<(), TestCaseError> {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    for (link, capacity) in capacities.iter().enumerate() {
        let used = shares.used(LinkId::from_index(link));
        prop_assert!(used <= capacity + 1e-6, "link {} carries {} of {}", link, used, capacity);
    }
    for (flow, plain) in flows.iter().zip(plain_filling(capacities, flows)) {
        let rate = shares.rate(flow.id);
        prop_assert!(near(rate, plain), "{:?} has {}, plain filling gives {}", flow, rate, plain);
        // The definition: at its cap, or on a full link on which nobody is faster.
        let is_bottleneck = |link: usize| {
            let full = near(shares.used(LinkId::from_index(link)), capacities[link]);
            let on = flows.iter().filter(|other| other.path.iter().any(|(at, _)| *at == link));
            full && on.map(|other| shares.rate(other.id)).all(|other| other <= rate + 1e-6)
        };
        let limited =
            near(rate, flow.cap) || flow.path.iter().any(|(link, _)| is_bottleneck(*link));
        prop_assert!(limited, "{:?} could be faster than {}", flow, rate);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn rates_are_max_min_fair(
        first in vec(5.0_f64..200.0, LINKS),
        ops in vec(op(), 1..40),
    ) {
        let mut shares = FairShares::new(first.iter().copied());
        let mut capacities = first.clone();
        let mut flows: Vec<Known> = Vec::new();
        for op in ops {
            let before: Vec<f64> = flows.iter().map(|flow| shares.rate(flow.id)).collect();
            let mut gone = None;
            match op {
                Op::Add(path, cap) => {
                    let links: Vec<_> = path.iter()
                        .map(|(link, weight)| (LinkId::from_index(*link), f64::from(*weight)))
                        .collect();
                    let id = shares.add(&links, cap);
                    flows.push(Known { id, path, cap });
                }
                Op::Remove(which) if !flows.is_empty() => {
                    let at = which.index(flows.len());
                    shares.remove(flows.remove(at).id);
                    gone = Some(at);
                }
                Op::Remove(_) => {}
                Op::Capacity(link, share) => {
                    capacities[link] = first[link] * share;
                    shares.set_capacity(LinkId::from_index(link), capacities[link]);
                }
            }
            check(&shares, &capacities, &flows)?;
            // Who is not said to be touched keeps its rate to the last bit.
            let mut old = before.into_iter();
            for (at, flow) in flows.iter().enumerate() {
                if Some(at) == gone {
                    old.next();
                }
                let Some(before) = old.next() else { break };
                if !shares.touched().contains(&flow.id) {
                    prop_assert_eq!(before.to_bits(), shares.rate(flow.id).to_bits());
                }
            }
        }
    }
}

/// Flows of other links are not looked at.
#[test]
fn a_change_touches_only_those_whom_it_concerns() {
    let mut shares = FairShares::new(vec![10.0; 1000]);
    for link in 0..1000 {
        shares.add(&[(LinkId::from_index(link), 1.0)], 8.0);
    }
    let second = shares.add(&[(LinkId::from_index(7), 1.0)], 8.0);
    assert_eq!(shares.touched().len(), 2);
    assert_eq!(shares.rate(second), 5.0);
    // A link on which there is room for everybody joins nobody.
    let wide = FairShares::new([10.0, 10.0, 1e6]);
    let mut shares = wide;
    let narrow = |link| [(LinkId::from_index(link), 1.0), (LinkId::from_index(2), 1.0)];
    shares.add(&narrow(0), 10.0);
    shares.add(&narrow(1), 10.0);
    assert_eq!(shares.touched().len(), 1);
}
