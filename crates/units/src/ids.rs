//! Dense ids and counts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of tokens.
///
/// An alias rather than a type of its own: tokens are counted, added and divided in every layer,
/// and the one unit they could be mixed up with (pages) does not appear in a public signature.
pub type TokenCount = u64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// Position in a table of all such things.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of the thing at `index`.
            ///
            /// # Panics
            ///
            /// If `index` does not fit 32 bits: a run holds fewer than 2³² of anything.
            #[must_use]
            pub fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("a run holds fewer than 2^32 of anything"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A request, numbered from 0 in order of arrival.
    RequestId,
    "r"
);
id!(
    /// A worker (one SGLang server), numbered from 0 over all pools.
    WorkerId,
    "w"
);
