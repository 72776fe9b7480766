//! The network between workers: when will these bytes have arrived, given the other flows?

mod fair;
mod fifo;
mod network;
mod shares;

use std::fmt;

use sglsim_units::{RequestId, Seconds, SimTime, TokenCount};

pub use fair::FairFabric;
pub use fifo::FifoFabric;
pub use network::{LinkKind, Network, Port};
pub(crate) use network::{NetworkShape, PoolNetwork};
pub use shares::{FairShares, LinkId, ShareId};

/// A piece of a request's KV on its way from one worker to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// The request.
    pub request: RequestId,
    /// Which of the pieces that ever were sent for it this is, from 0.
    pub piece: u32,
    /// The sender.
    pub from: Port,
    /// The receiver.
    pub to: Port,
    /// Tokens of KV.
    pub tokens: TokenCount,
    /// Bytes of them on the network, over all connections.
    pub bytes: f64,
    /// Time that the flow takes when it is alone on its way, by the transfer law.
    pub alone: Seconds,
    /// The part of it in which bytes move; the rest is set-up.
    pub streaming: Seconds,
}

/// A flow that has arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delivery {
    /// The flow.
    pub flow: Flow,
    /// When it was handed to the fabric.
    pub submitted: SimTime,
    /// When its last byte arrived.
    pub arrived: SimTime,
}

/// What went over a link of a fabric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkUse {
    /// What it joins.
    pub kind: LinkKind,
    /// Its name, such as `node 3 nic 2`.
    pub name: String,
    /// Bytes that it can carry in a second \[B/s\].
    pub capacity: f64,
    /// Bytes that it carried \[B\].
    pub bytes: f64,
}

/// Moves KV between workers.
///
/// # Implementing
///
/// *Observes* the flows handed in, each with the time that the transfer law gives it alone;
/// *controls* how flows share links; *owns* what is under way. Laws, checked by
/// [`testing::fabric_conformance`](crate::testing::fabric_conformance): every flow arrives exactly
/// once (`FABRIC-1`), not before its time alone has passed (`FABRIC-2`), in an order
/// of time that never goes back (`FABRIC-3`); flows of one pair of ranks arrive in the order they were
/// submitted (`FABRIC-4`).
pub trait Fabric: fmt::Debug + Send {
    /// Name in reports.
    fn name(&self) -> &str;

    /// Hands a flow over at `now`.
    fn submit(&mut self, now: SimTime, flow: Flow);

    /// When something happens next: a flow arrives, or links are shared in another way from then on.
    fn peek(&self) -> Option<SimTime>;

    /// Lets that happen. Gives the flow that arrives, if one does.
    fn pop(&mut self) -> Option<Delivery>;

    /// Forgets the flows of a request between two ranks, which are not wanted any more. By default they
    /// arrive all the same, and nobody takes notice.
    fn cancel(&mut self, _now: SimTime, _request: RequestId, _from: Port, _to: Port) {}

    /// Gives every link of this name `share` of its bandwidth from `now` on, from 0 (cut) to 1. `false`
    /// if there is no such link, as by default.
    fn set_bandwidth(&mut self, _now: SimTime, _link: &str, _share: f64) -> bool {
        false
    }

    /// What went over each link. Nothing by default.
    fn link_use(&self) -> Vec<LinkUse> {
        Vec::new()
    }
}
