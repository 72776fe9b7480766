//! The seam: what every routing policy answers.

use std::fmt;

use sglsim_units::WorkerId;

use crate::{RouteError, RouteRequest, WorkerView};

/// Chooses the worker for a request.
///
/// # Implementing
///
/// *Observes* the request and a view of every worker of its pool, each signal as fresh as
/// [`WorkerView`] says; *controls* the choice only; *owns* its state and its random stream, which
/// is handed in at construction. *Called* once per request, in the order of simulated time.
///
/// Laws, checked by `testing::conformance` (feature `testing`):
///
/// 1. the choice is a position in `workers`, and that worker is healthy;
/// 2. no worker, or none that is healthy, is an error and not a panic;
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

    /// Position in `workers` of the one that gets `request`.
    ///
    /// # Errors
    ///
    /// [`RouteError::NoWorkers`] and [`RouteError::NoHealthyWorker`].
    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError>;

    /// Called when a response of `worker` has ended. Does nothing by default.
    fn on_finished(&mut self, _worker: WorkerId) {}

    /// Called when `worker` has left the pool. Does nothing by default.
    fn on_removed(&mut self, _worker: WorkerId) {}
}

/// Positions of the healthy workers.
pub(crate) fn healthy(workers: &[WorkerView]) -> impl Iterator<Item = usize> + Clone + '_ {
    workers.iter().enumerate().filter(|(_, worker)| worker.is_healthy()).map(|(at, _)| at)
}

/// Number of the healthy workers, at least one.
pub(crate) fn count_healthy(policy: &str, workers: &[WorkerView]) -> Result<usize, RouteError> {
    let policy = || policy.to_owned();
    match (workers.len(), healthy(workers).count()) {
        (0, _) => Err(RouteError::NoWorkers { policy: policy() }),
        (workers, 0) => Err(RouteError::NoHealthyWorker { policy: policy(), workers }),
        (_, healthy) => Ok(healthy),
    }
}

/// Position of the `nth` healthy worker.
pub(crate) fn nth_healthy(workers: &[WorkerView], nth: usize) -> usize {
    healthy(workers).nth(nth).expect("`nth` is below the number of healthy workers")
}
