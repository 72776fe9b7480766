//! Adding up device time and kernel launches.

use std::ops::Add;

use sglsim_expr::{Expr, min};

/// Device time of some kernels, and how many of them there are.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// Device time \[s\].
    pub(super) time: Expr,
    kernels: u32,
    collectives: u32,
}

impl Work {
    pub(super) fn kernel(time: Expr) -> Self {
        Self { time, kernels: 1, collectives: 0 }
    }

    /// A collective over the tensor parallel ranks, which one rank alone does not launch.
    pub(super) fn collective(time: Expr) -> Self {
        Self { time, kernels: 0, collectives: 1 }
    }

    /// Two parts of which most steps have one; `combine` says what the time of both is.
    pub(super) fn either(self, other: Work, combine: impl FnOnce(Expr, Expr) -> Expr) -> Self {
        Self {
            time: combine(self.time, other.time),
            kernels: self.kernels.max(other.kernels),
            collectives: self.collectives.max(other.collectives),
        }
    }

    pub(super) fn times(self, count: u32) -> Self {
        Self {
            time: self.time * count,
            kernels: self.kernels * count,
            collectives: self.collectives * count,
        }
    }

    /// Kernels that are launched on `tp_size` ranks \[1\].
    pub(super) fn launches(&self, tp_size: &Expr) -> Expr {
        self.kernels + self.collectives * min(tp_size - 1, 1)
    }
}

impl Add for Work {
    type Output = Work;
    fn add(self, other: Work) -> Work {
        Work {
            time: self.time + other.time,
            kernels: self.kernels + other.kernels,
            collectives: self.collectives + other.collectives,
        }
    }
}
