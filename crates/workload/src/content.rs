//! Content ids: which ids of spans belong to whom, so that no two sources of tokens ever collide.
//!
//! The two top bits say where the tokens come from, the rest counts within that source.

use sglsim_units::RequestId;

const PREFIX: u64 = 1 << 62;
const FRESH: u64 = 2 << 62;
const OUTPUT: u64 = 3 << 62;

/// One more than the largest block id a trace may use: ids below belong to traces.
pub(crate) const BLOCK_IDS: u64 = PREFIX;

/// Content id of the tokens that request `id` generated itself.
///
/// The next turn of a conversation repeats them in its prompt and can hit its own output.
///
/// ```
/// use sglsim_units::RequestId;
/// use sglsim_workload::output_content;
///
/// assert_ne!(output_content(RequestId(0)), output_content(RequestId(1)));
/// ```
#[must_use]
pub fn output_content(id: RequestId) -> u64 {
    OUTPUT | u64::from(id.0)
}

/// Content id of prompt tokens that nobody else has: the `n`-th such piece of a workload.
///
/// `n` is taken modulo 2⁶².
#[must_use]
pub fn fresh_content(n: u64) -> u64 {
    FRESH | (n & (BLOCK_IDS - 1))
}

/// Content id of the prefix that the members of group `group` share.
#[must_use]
pub fn prefix_content(group: u32) -> u64 {
    PREFIX | u64::from(group)
}
