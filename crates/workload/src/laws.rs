//! Random laws: lengths, durations, arrivals. Each draws from a named stream of its own.

mod arrivals;
mod duration;
mod length;

use rand_pcg::Pcg64Mcg;
use sglsim_units::RngStreams;

pub use arrivals::Arrivals;
pub use duration::DurationLaw;
pub use length::{LengthBin, LengthLaw};

pub(crate) use arrivals::OpenArrivals;
pub(crate) use duration::DurationSampler;
pub(crate) use length::{LengthSampler, zipf};

/// A sampler with its own stream: more draws here shift no draw elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Stream<S> {
    pub(crate) sampler: S,
    pub(crate) rng: Pcg64Mcg,
}

impl<S> Stream<S> {
    pub(crate) fn new(sampler: S, streams: RngStreams, name: &str) -> Self {
        Self { sampler, rng: streams.stream(name) }
    }
}
