//! Laws of arrivals.

use rand_distr::{Distribution, Exp1, Gamma};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use sglsim_units::{RngStreams, SimTime};

use super::DurationLaw;
use crate::error::{WorkloadError, check};

/// When requests (or the first turns of conversations) arrive.
///
/// The first one arrives at time 0, as in SGLang's `bench_serving`, which waits after each send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub enum Arrivals {
    /// Gaps are exponential.
    Poisson {
        /// Mean arrivals per second, from 1e-9 to 1e9 \[1/s\].
        rate: f64,
    },
    /// Gaps follow a Gamma law: burstier than Poisson where `cv` is above 1, smoother below.
    Gamma {
        /// Mean arrivals per second, from 1e-9 to 1e9 \[1/s\].
        rate: f64,
        /// Coefficient of variation of the gaps, from 0.01 to 100.
        cv: f64,
    },
    /// Gaps are all the same.
    Constant {
        /// Arrivals per second, from 1e-9 to 1e9 \[1/s\].
        rate: f64,
    },
    /// All at time 0: `bench_serving` with an infinite request rate.
    Burst,
    /// So many at once, again and again.
    Batches {
        /// Arrivals per batch, at least 1.
        size: u32,
        /// Time from one batch to the next, from 1e-9 to 1e9 \[s\].
        every: f64,
    },
    /// A closed loop: so many users, each of whom sends the next request when the one before is
    /// finished and the user has thought.
    ClosedLoop {
        /// Number of users, at least 1.
        concurrency: u32,
        /// Time between a finish and the next request. Default none.
        #[serde(default)]
        think: DurationLaw,
    },
}

impl Arrivals {
    /// Name for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Poisson { .. } => "Poisson",
            Self::Gamma { .. } => "Gamma",
            Self::Constant { .. } => "Constant",
            Self::Burst => "Burst",
            Self::Batches { .. } => "Batches",
            Self::ClosedLoop { .. } => "ClosedLoop",
        }
    }

    /// Arrivals per second in the long run, `None` where time alone does not bound their number.
    pub(crate) fn rate(&self) -> Option<f64> {
        match *self {
            Self::Poisson { rate } | Self::Gamma { rate, .. } | Self::Constant { rate } => {
                Some(rate)
            }
            Self::Batches { size, every } => Some(f64::from(size) / every),
            Self::Burst | Self::ClosedLoop { .. } => None,
        }
    }
}

/// An arrival process that does not wait for anyone.
#[derive(Clone, Debug)]
pub(crate) struct OpenArrivals {
    gaps: Gaps,
    rng: Pcg64Mcg,
    /// Arrivals before `next`.
    arrived: u64,
    next: SimTime,
}

#[derive(Clone, Debug)]
enum Gaps {
    Exponential {
        rate: f64,
    },
    /// The law has mean 1.
    Gamma {
        law: Gamma<f64>,
        rate: f64,
    },
    Constant {
        rate: f64,
    },
    Batches {
        size: u32,
        every: f64,
    },
    Burst,
}

impl OpenArrivals {
    /// Checks the parameters of an arrival law other than a closed loop.
    pub(crate) fn new(law: &Arrivals, streams: RngStreams) -> Result<Self, WorkloadError> {
        let rates = 1e-9..=1e9;
        let gaps = match *law {
            Arrivals::Poisson { rate } => {
                check("arrivals.rate", rate, rates)?;
                Gaps::Exponential { rate }
            }
            Arrivals::Gamma { rate, cv } => {
                check("arrivals.rate", rate, rates)?;
                check("arrivals.cv", cv, 0.01..=100.0)?;
                let variance = cv * cv;
                let law = Gamma::new(1.0 / variance, variance).expect("shape and scale are normal");
                Gaps::Gamma { law, rate }
            }
            Arrivals::Constant { rate } => {
                check("arrivals.rate", rate, rates)?;
                Gaps::Constant { rate }
            }
            Arrivals::Batches { size, every } => {
                check("arrivals.size", size, 1..=u32::MAX)?;
                check("arrivals.every", every, 1e-9..=1e9)?;
                Gaps::Batches { size, every }
            }
            // The users of a closed loop all begin at once, too.
            Arrivals::Burst | Arrivals::ClosedLoop { .. } => Gaps::Burst,
        };
        let rng = streams.stream("workload/arrivals");
        Ok(Self { gaps, rng, arrived: 0, next: SimTime::ZERO })
    }

    /// Time of the next arrival.
    pub(crate) fn next(&self) -> SimTime {
        self.next
    }

    /// The next arrival has been taken.
    pub(crate) fn advance(&mut self) {
        self.arrived += 1;
        // Where a product will do it replaces a sum of gaps: the last arrival is as exact as the
        // first.
        let next = match &self.gaps {
            Gaps::Exponential { rate } => {
                let gap: f64 = Exp1.sample(&mut self.rng);
                self.next.seconds() + gap / rate
            }
            Gaps::Gamma { law, rate } => self.next.seconds() + law.sample(&mut self.rng) / rate,
            Gaps::Constant { rate } => self.arrived as f64 / rate,
            Gaps::Batches { size, every } => (self.arrived / u64::from(*size)) as f64 * every,
            Gaps::Burst => 0.0,
        };
        self.next = SimTime::new(next).expect("fewer than 2^32 gaps of rates in range are finite");
    }
}
