//! What a policy sees.

use sglsim_radix::Prompt;
use sglsim_units::{SimTime, WorkerId};

/// Who a request belongs to, as sglang-router knows it from the header `X-SMG-Routing-Key`.
///
/// It is the place of the key's text on a hash ring, as sglang-router puts it there: the first
/// eight bytes of its BLAKE3 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutingKey(u64);

impl RoutingKey {
    /// The key that is written `text`.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let hash = blake3::hash(text.as_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        Self(u64::from_le_bytes(*first))
    }

    /// Its place on a ring of 2^64.
    #[must_use]
    pub fn position(self) -> u64 {
        self.0
    }
}

/// A request to be routed, as the router knows it. The output length is not in it.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest<'a> {
    prompt: &'a Prompt,
    now: SimTime,
    routing_key: Option<RoutingKey>,
    target: Option<usize>,
}

impl<'a> RouteRequest<'a> {
    /// A request with `prompt` that is routed at `now`.
    #[must_use]
    pub fn new(prompt: &'a Prompt, now: SimTime) -> Self {
        Self { prompt, now, routing_key: None, target: None }
    }

    /// The same request under a routing key (header `X-SMG-Routing-Key`).
    #[must_use]
    pub fn with_routing_key(self, routing_key: Option<RoutingKey>) -> Self {
        Self { routing_key, ..self }
    }

    /// The same request, asking for the worker at a position (header `X-SMG-Target-Worker`).
    #[must_use]
    pub fn with_target(self, target: Option<usize>) -> Self {
        Self { target, ..self }
    }

    /// The prompt.
    #[must_use]
    pub fn prompt(&self) -> &'a Prompt {
        self.prompt
    }

    /// The time of the decision \[s\]; never earlier than that of the decision before.
    #[must_use]
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Who it belongs to, if it says so.
    #[must_use]
    pub fn routing_key(&self) -> Option<RoutingKey> {
        self.routing_key
    }

    /// Position of the worker that it asks for, among those that may be chosen.
    #[must_use]
    pub fn target(&self) -> Option<usize> {
        self.target
    }
}

/// One worker that may be chosen, as the router knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    id: WorkerId,
    in_flight: u32,
    keys_in_flight: u32,
    polled_tokens: Option<u64>,
}

impl WorkerView {
    /// A worker without load.
    #[must_use]
    pub fn new(id: WorkerId) -> Self {
        Self { id, in_flight: 0, keys_in_flight: 0, polled_tokens: None }
    }

    /// The same worker with so many requests in flight.
    #[must_use]
    pub fn with_in_flight(self, in_flight: u32) -> Self {
        Self { in_flight, ..self }
    }

    /// The same worker with requests of so many routing keys in flight.
    #[must_use]
    pub fn with_keys_in_flight(self, keys_in_flight: u32) -> Self {
        Self { keys_in_flight, ..self }
    }

    /// The same worker with a polled token load, or none known \[token\].
    #[must_use]
    pub fn with_polled_tokens(self, polled_tokens: Option<u64>) -> Self {
        Self { polled_tokens, ..self }
    }

    /// Which worker. Positions in the pool may change, ids do not.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Requests that this router has sent to it and whose response has not ended: SGLang's "load".
    ///
    /// Freshness: exact, but blind to requests of other routers. 0 where the router does not count
    /// ([`Router::without_load`](crate::Router::without_load)).
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Different routing keys of the requests in flight there. As fresh as
    /// [`in_flight`](WorkerView::in_flight).
    #[must_use]
    pub fn keys_in_flight(&self) -> u32 {
        self.keys_in_flight
    }

    /// Tokens waiting or running there, as it said itself when polled \[token\]; `None` if it was
    /// never asked. SGLang 0.5.23 has no `/get_load` any more, and its workers count as equal.
    ///
    /// Freshness: as of the last poll (`--worker-startup-check-interval`, 30 s).
    #[must_use]
    pub fn polled_tokens(&self) -> Option<u64> {
        self.polled_tokens
    }
}
