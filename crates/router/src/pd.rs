//! Prefill/decode disaggregation: two pools, two policies.

use sglsim_units::{SimTime, WorkerId};

use crate::{Outcome, Pool, Response, RouteError, RouteRequest, Router, RoutingKey};

/// Chooses a prefill and a decode worker for each request, independently of each other.
///
/// Each pool has its own policy instance: two `cache_aware` policies have two trees. A request
/// counts as in flight at both workers until its response ends.
///
/// # Source
///
/// sglang-router 0.3.2, `routers/http/pd_router.rs`. Pairing by prompt length does not exist there.
///
/// ```
/// use sglsim_radix::{Prompt, Span};
/// use sglsim_router::{Outcome, PdRouter, PdResponse, RoundRobin, RouteRequest, Router};
/// use sglsim_units::{SimTime, WorkerId};
///
/// let pool = |ids: [u32; 2]| Router::new(Box::new(RoundRobin::new()), ids.map(WorkerId));
/// let mut router = PdRouter::new(pool([0, 1]), pool([2, 3]));
/// let prompt = Prompt::new(vec![Span::new(1, 10)]);
/// let pair = router.route(&RouteRequest::new(&prompt, SimTime::ZERO))?;
/// assert_eq!((pair.prefill, pair.decode), (WorkerId(0), WorkerId(2)));
/// router.finished(&PdResponse {
///     pair,
///     routing_key: None,
///     prefill: Outcome::Success,
///     decode: Outcome::Success,
///     at: SimTime::ZERO,
/// })?;
/// # Ok::<(), sglsim_router::RouteError>(())
/// ```
#[derive(Debug)]
pub struct PdRouter {
    prefill: Router,
    decode: Router,
}

/// The workers of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PdPair {
    /// Extends the prompt.
    pub prefill: WorkerId,
    /// Decodes.
    pub decode: WorkerId,
}

/// The end of a response that a pair of workers gave, or of an attempt to get one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PdResponse {
    /// The pair.
    pub pair: PdPair,
    /// The routing key of its request.
    pub routing_key: Option<RoutingKey>,
    /// How it ended at the prefill worker.
    pub prefill: Outcome,
    /// How it ended at the decode worker.
    pub decode: Outcome,
    /// When \[s\].
    pub at: SimTime,
}

impl PdRouter {
    /// A router over two pools.
    #[must_use]
    pub fn new(prefill: Router, decode: Router) -> Self {
        Self { prefill, decode }
    }

    /// The prefill pool.
    #[must_use]
    pub fn prefill(&self) -> &Router {
        &self.prefill
    }

    /// The decode pool.
    #[must_use]
    pub fn decode(&self) -> &Router {
        &self.decode
    }

    /// One of the pools, to change the health or the membership of its workers.
    pub fn pool_mut(&mut self, pool: Pool) -> &mut Router {
        match pool {
            Pool::Prefill => &mut self.prefill,
            Pool::Decode => &mut self.decode,
        }
    }

    /// Chooses a pair, and counts the request as in flight at both; at none on an error.
    ///
    /// # Errors
    ///
    /// [`RouteError::Pool`] around what went wrong in a pool.
    pub fn route(&mut self, request: &RouteRequest<'_>) -> Result<PdPair, RouteError> {
        let prefill = self.prefill.choose(request).map_err(in_pool(Pool::Prefill))?;
        let decode = self.decode.choose(request).map_err(in_pool(Pool::Decode))?;
        self.prefill.begin(prefill, request.routing_key());
        self.decode.begin(decode, request.routing_key());
        Ok(PdPair { prefill, decode })
    }

    /// Notes that a response has ended.
    ///
    /// # Errors
    ///
    /// [`RouteError::Pool`] around [`RouteError::UnknownWorker`] if a worker has left its pool.
    pub fn finished(&mut self, response: &PdResponse) -> Result<(), RouteError> {
        let PdResponse { pair, routing_key, at, .. } = *response;
        let of = |worker, outcome| Response { worker, routing_key, outcome, at };
        let prefill = self.prefill.finished(&of(pair.prefill, response.prefill));
        let decode = self.decode.finished(&of(pair.decode, response.decode));
        prefill.map_err(in_pool(Pool::Prefill)).and(decode.map_err(in_pool(Pool::Decode)))
    }
}

fn in_pool(pool: Pool) -> impl FnOnce(RouteError) -> RouteError {
    move |source| RouteError::Pool { pool, source: Box::new(source) }
}
