//! Named random streams: one more draw in one part of a run never shifts another part.

use rand_core::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// A family of independent generators made from one seed.
///
/// A stream is identified by its name, such as `"workload/arrivals"`. Two runs with the same seed
/// that differ in one component draw the same numbers everywhere else (common random numbers).
///
/// ```
/// use rand_core::Rng;
/// use sglsim_units::RngStreams;
///
/// let streams = RngStreams::new(42);
/// let (mut a, mut b) = (streams.stream("arrivals"), streams.stream("arrivals"));
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert_ne!(streams.stream("lengths").next_u64(), streams.stream("arrivals").next_u64());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RngStreams {
    seed: u64,
}

impl RngStreams {
    /// The streams of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The seed.
    #[must_use]
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// The generator called `name`, at its start.
    #[must_use]
    pub fn stream(self, name: &str) -> Pcg64Mcg {
        Pcg64Mcg::seed_from_u64(fnv1a(name.as_bytes()) ^ self.seed.rotate_left(32))
    }

    /// The streams of one member of a family, such as one worker.
    #[must_use]
    pub fn child(self, index: u64) -> Self {
        Self { seed: fnv1a(&index.to_le_bytes()) ^ self.seed.rotate_left(17) }
    }
}

/// FNV-1a, 64 bit (Fowler, Noll, Vo): written out so that a stream's identity is part of this code.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
