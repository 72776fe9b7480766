//! What the ranks of a worker send each other.

use sglsim_expr::Expr;

use super::present;

mod coefficients;
mod custom;
mod deep_ep;
mod nccl;

pub use coefficients::{
    AllReduceCoefficients, AllReduceTheta, AllToAllCoefficients, AllToAllTheta, NcclCoefficients,
    NcclPairCoefficients, NcclPairTheta, NcclTheta,
};
pub use custom::{Eager, OneShot, TwoShot};
pub use deep_ep::{AllToAll, DeepEp};
pub use nccl::{NcclPairs, NcclRing, NcclSwitch, PairExchange, SendReceive};

macro_rules! collective {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// Rows of the result \[token\].
            pub rows: Expr,
            /// Size of a row \[B\].
            pub bytes_per_row: Expr,
            /// Ranks that take part, neighbours in the topology \[1\]; one rank costs nothing.
            pub group: Expr,
        }

        impl $name {
            /// Size of the result \[B\].
            #[must_use]
            pub fn bytes(&self) -> Expr {
                &self.rows * &self.bytes_per_row
            }

            /// 1 if there is something to send and someone to send it to, else 0.
            pub(crate) fn present(&self) -> Expr {
                present(&self.rows) * present(&(&self.group - 1))
            }
        }
    };
}
use collective;

collective!(
    /// Every rank gets the sum of all ranks' rows.
    AllReduce
);
collective!(
    /// Every rank gets all rows, of which each rank had a share.
    AllGather
);
collective!(
    /// Every rank gets the sum of a share of the rows, of which each rank had all.
    ReduceScatter
);
