//! Where the time of one step goes, in numbers: operator by operator, and what bounds each.

use std::fmt;

use sglsim_expr::{Decision, Expr, Program, Values};

use super::{Operator, StepLaw};
use crate::{KernelError, StepFeatures};

/// The time of one step, taken apart.
///
/// ```
/// use sglsim_expr::Context;
/// use sglsim_hw::{Gpu, Topology};
/// use sglsim_kernels::{Coefficients, ParallelPlan, RankFeatures, Regime, StepFeatures, StepLaw};
/// use sglsim_model::ModelShape;
///
/// let topology = Topology::of(Gpu::preset("H100")?)?;
/// let model = ModelShape::preset("Llama-3.1-8B")?;
/// let theta = Coefficients::for_architecture(topology.gpu().architecture);
/// let law =
///     StepLaw::of(&Context::new(), "", &model, &topology, &theta, &ParallelPlan::tensor(1))?;
///
/// let mut rank = RankFeatures::default();
/// rank.set_decode(1, 1, 1000, 1);
/// let step = law.breakdown(&StepFeatures::of_ranks([&rank]))?;
/// let ffn = step.operators.iter().find(|one| one.name == "gate and up projection").unwrap();
/// assert_eq!((ffn.calls, ffn.regime()), (32, Regime::Memory)); // one row: the weights are read
/// assert!(ffn.roofline < ffn.time && ffn.time < step.step_time);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Breakdown {
    /// Time until the next step can start \[s\].
    pub step_time: f64,
    /// Time of the batch through all pipeline stages \[s\].
    pub latency: f64,
    /// Time of the device, over all pipeline stages \[s\].
    pub device_time: f64,
    /// Time of the host, over all pipeline stages \[s\].
    pub host_time: f64,
    /// The operators that run at all, in the order in which they do.
    pub operators: Vec<OperatorTime>,
    /// Hidden states from pipeline stage to pipeline stage \[s\].
    pub hand_over: f64,
}

/// The calls of one operator in one step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperatorTime {
    /// What it does.
    pub name: &'static str,
    /// The part of the step that it belongs to, as in [`StepLaw::parts`].
    pub part: &'static str,
    /// The kernel that was chosen.
    pub kernel: String,
    /// How often it runs \[1\].
    pub calls: u32,
    /// Time of all calls \[s\].
    pub time: f64,
    /// Least time of all calls that the datasheet allows \[s\].
    pub roofline: f64,
    /// Share of the time that is spent on each, in the order of [`Regime::ALL`]: see
    /// [`Regime::shares`] \[1\].
    pub shares: [f64; 4],
}

/// What a time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Regime {
    /// Arithmetic: faster matrix units would help.
    Compute,
    /// Device memory: more bandwidth would help.
    Memory,
    /// Links: more bandwidth between GPUs would help.
    Communication,
    /// Starting, and waiting for a first byte: only fewer or larger calls would help.
    Launch,
}

impl Regime {
    /// All of them.
    pub const ALL: [Regime; 4] =
        [Regime::Compute, Regime::Memory, Regime::Communication, Regime::Launch];

    /// What a law waits for whose time depends on this rate, by the name of its symbol in
    /// [`Hardware`](crate::Hardware); `None` if it is no rate of a resource.
    #[must_use]
    pub fn of_rate(symbol: &str) -> Option<Self> {
        if symbol.contains("peak_flops_") {
            Some(Self::Compute)
        } else if symbol.ends_with("hbm_bandwidth") {
            Some(Self::Memory)
        } else if symbol.ends_with("scale_up_bandwidth") || symbol.ends_with("scale_out_bandwidth")
        {
            Some(Self::Communication)
        } else {
            None
        }
    }

    /// The greatest of shares in the order of [`Regime::ALL`]; the first of equals.
    #[must_use]
    pub fn of_shares(shares: &[f64; 4]) -> Self {
        let mut most = 0;
        for (at, share) in shares.iter().enumerate() {
            if *share > shares[most] {
                most = at;
            }
        }
        Self::ALL[most]
    }

    /// Shares of a time that is spent on each, in the order of [`Regime::ALL`], from the elasticity
    /// of the time to each rate: one that counts fully has −1. What is left is `Launch`. Where a
    /// slower rate costs more than in proportion, as with clocks that fall under long arithmetic,
    /// nothing is left, and the shares are those of the sum.
    pub fn shares<'a>(elasticities: impl IntoIterator<Item = (&'a str, f64)>) -> [f64; 4] {
        let mut shares = [0.0; 4];
        for (symbol, elasticity) in elasticities {
            if let Some(regime) = Self::of_rate(symbol) {
                shares[regime as usize] -= elasticity;
            }
        }
        let spent: f64 = shares.iter().sum();
        shares[Self::Launch as usize] = (1.0 - spent).max(0.0);
        shares.map(|share| share / spent.max(1.0))
    }
}

impl fmt::Display for Regime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
            Self::Communication => "communication",
            Self::Launch => "launch",
        })
    }
}

impl OperatorTime {
    /// What most of the time is spent on.
    #[must_use]
    pub fn regime(&self) -> Regime {
        Regime::of_shares(&self.shares)
    }

    /// Adds the calls of another operator.
    pub fn merge(&mut self, other: &OperatorTime) {
        let time = self.time + other.time;
        for (share, more) in self.shares.iter_mut().zip(other.shares) {
            *share = (*share * self.time + more * other.time) / time;
        }
        self.calls += other.calls;
        self.time = time;
        self.roofline += other.roofline;
    }

    /// Share of what the datasheet allows, in [0, 1] \[1\].
    #[must_use]
    pub fn achieved(&self) -> f64 {
        self.roofline / self.time
    }
}

impl Breakdown {
    /// What the operators' times exceed the device's by \[s\]: operators that run at the same time, on
    /// another attention replica or with the other half of the batch.
    #[must_use]
    pub fn overlap(&self) -> f64 {
        let all: f64 = self.operators.iter().map(|operator| operator.time).sum();
        (all + self.hand_over - self.device_time).max(0.0)
    }

    pub(super) fn of(law: &StepLaw, features: &StepFeatures) -> Result<Self, KernelError> {
        let mut point = law.values.clone();
        point.extend(law.inputs.iter().map(String::as_str).zip(features.as_array()));
        let part = |name: &str| {
            let found = law.parts.iter().find(|(part, _)| *part == name);
            found.map_or(Ok(0.0), |(_, time)| time.evaluate(&point))
        };
        let host_time = part("t_host")?;
        let mut device_time = 0.0;
        for (name, _) in law.parts.iter().filter(|(name, _)| *name != "t_host") {
            device_time += part(name)?;
        }
        Ok(Self {
            step_time: law.step_time.evaluate(&point)?,
            latency: law.latency.evaluate(&point)?,
            device_time,
            host_time,
            operators: operator_times(&law.operators, &point)?,
            hand_over: part("t_hand_over")?,
        })
    }
}

fn operator_times(all: &[Operator], point: &Values) -> Result<Vec<OperatorTime>, KernelError> {
    let rates: Vec<(&str, f64)> =
        point.iter().filter(|(name, _)| Regime::of_rate(name).is_some()).collect();
    let (names, at): (Vec<&str>, Vec<f64>) = rates.into_iter().unzip();
    let rest: Values = point.iter().filter(|(name, _)| Regime::of_rate(name).is_none()).collect();
    let bound: Vec<Expr> = all.iter().map(|operator| operator.time.bind(&rest)).collect();
    let program = Program::compile(&bound.iter().collect::<Vec<_>>(), &names)?;
    let (mut gradient, mut slopes) = (program.gradient(), vec![0.0; names.len()]);
    let mut times = Vec::new();
    for (output, operator) in all.iter().enumerate() {
        let time = gradient.eval_output(output, &at, &mut slopes);
        if time <= 0.0 {
            continue;
        }
        let elasticities = names.iter().zip(&at).zip(&slopes);
        let elasticities = elasticities.map(|((name, rate), slope)| (*name, slope * rate / time));
        let shares = Regime::shares(elasticities);
        let roofline = &operator.roofline;
        let mut least = 0.0_f64;
        for limit in [&roofline.compute, &roofline.memory, &roofline.communication] {
            least = least.max(limit.evaluate(point)?);
        }
        let calls = f64::from(operator.calls);
        times.push(OperatorTime {
            name: operator.name,
            part: operator.part,
            kernel: chosen(operator, point)?,
            calls: operator.calls,
            time: time * calls,
            roofline: least * calls,
            shares,
        });
    }
    Ok(times)
}

/// The kernel that runs: the law's choice if it has one, else its name.
fn chosen(operator: &Operator, point: &Values) -> Result<String, KernelError> {
    let arms = operator.time.active_arms(point)?;
    let choice = arms.into_iter().find(|arm| arm.decision == Decision::Choice);
    Ok(choice.map_or_else(|| operator.kernel.clone(), |arm| arm.arm))
}
