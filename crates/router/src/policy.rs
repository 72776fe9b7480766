//! The seam: what every routing policy answers.

use std::fmt;

use sglsim_units::WorkerId;

use crate::{RouteError, RouteRequest, WorkerView};

/// Chooses the worker for a request.
///
/// # Implementing
///
/// *Observes* the request and a view of every worker that may be chosen, each signal as fresh as
/// [`WorkerView`] says; *controls* the choice only; *owns* its state and its random stream, which
/// is handed in at construction. *Called* once per attempt, in the order of simulated time.
///
/// Workers that are unhealthy, or whose circuit breaker is open, are not shown: as in
/// sglang-router, a policy never sees them. Between two calls any worker can vanish from
/// `workers` and come back; only [`on_removed`](RoutePolicy::on_removed) means that it is gone.
///
/// Laws, checked by `testing::conformance` (feature `testing`):
///
/// 1. the choice is a position in `workers`;
/// 2. a request that cannot be placed is an error and not a panic;
/// 3. equal calls from an equal state give equal answers.
///
/// And by `testing::symmetry`, for a policy to which all workers are alike:
///
/// 4. names mean nothing: renaming the workers leaves every chosen position the same.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use sglsim_router::{RoundRobin, testing};
/// testing::conformance(|| Box::new(RoundRobin::new()));
/// testing::symmetry(|| Box::new(RoundRobin::new()));
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a routing policy",
    note = "see the section `Implementing` of `RoutePolicy`"
)]
pub trait RoutePolicy: fmt::Debug + Send {
    /// Name in configuration files and reports, such as `"cache_aware"`.
    fn name(&self) -> &str;

    /// Position in `workers` of the one that gets `request`. There is at least one.
    ///
    /// # Errors
    ///
    /// [`RouteError::NotPlaced`] if the policy has no worker for this request; the router answers
    /// it with status 503.
    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError>;

    /// Called when a response of `worker` has ended. Does nothing by default.
    fn on_finished(&mut self, _worker: WorkerId) {}

    /// Called when `worker` has joined the pool. Does nothing by default.
    fn on_added(&mut self, _worker: WorkerId) {}

    /// Called when `worker` has left the pool. Does nothing by default.
    fn on_removed(&mut self, _worker: WorkerId) {}
}

/// Position of the first worker with the least of what `measure` says; there is a worker.
pub(crate) fn first_least<N: Ord>(
    workers: &[WorkerView],
    measure: impl Fn(&WorkerView) -> N,
) -> usize {
    let least = workers.iter().enumerate().min_by_key(|(_, worker)| measure(worker));
    least.expect("a policy is shown at least one worker").0
}
