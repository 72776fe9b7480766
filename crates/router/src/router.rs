//! One pool: a policy, its workers, and what is in flight.

use sglsim_units::{HashMap, WorkerId};

use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// A policy over one pool of workers, with the in-flight counts that the router keeps itself.
#[derive(Debug)]
pub struct Router {
    policy: Box<dyn RoutePolicy>,
    workers: Vec<WorkerView>,
    positions: HashMap<WorkerId, usize>,
}

impl Router {
    /// A router over healthy workers without load. A worker named twice is in the pool once.
    #[must_use]
    pub fn new(policy: Box<dyn RoutePolicy>, workers: impl IntoIterator<Item = WorkerId>) -> Self {
        let mut router = Self { policy, workers: Vec::new(), positions: HashMap::default() };
        for worker in workers {
            router.add_worker(worker);
        }
        router
    }

    /// Name of the policy.
    #[must_use]
    pub fn policy_name(&self) -> &str {
        self.policy.name()
    }

    /// The workers, in the order in which they came.
    #[must_use]
    pub fn workers(&self) -> &[WorkerView] {
        &self.workers
    }

    /// Chooses a worker and counts the request as in flight there.
    ///
    /// # Errors
    ///
    /// Those of the policy, and [`RouteError::InvalidChoice`] if it breaks its laws.
    pub fn route(&mut self, request: &RouteRequest<'_>) -> Result<WorkerId, RouteError> {
        let position = self.choose(request)?;
        Ok(self.begin(position))
    }

    /// Notes that a response of `worker` has ended.
    ///
    /// # Errors
    ///
    /// [`RouteError::UnknownWorker`] if it is not in the pool.
    ///
    /// # Panics
    ///
    /// If nothing is in flight there: a response ended twice.
    pub fn finished(&mut self, worker: WorkerId) -> Result<(), RouteError> {
        let view = self.view_mut(worker)?;
        let left = view.in_flight().checked_sub(1).expect("a response ends once");
        *view = view.with_in_flight(left);
        self.policy.on_finished(worker);
        Ok(())
    }

    /// Notes that `worker` may be chosen, or not, from now on.
    ///
    /// # Errors
    ///
    /// [`RouteError::UnknownWorker`] if it is not in the pool.
    pub fn set_health(&mut self, worker: WorkerId, is_healthy: bool) -> Result<(), RouteError> {
        let view = self.view_mut(worker)?;
        *view = view.with_health(is_healthy);
        Ok(())
    }

    /// Notes what `worker` said of its token load when polled \[token\].
    ///
    /// # Errors
    ///
    /// [`RouteError::UnknownWorker`] if it is not in the pool.
    pub fn set_polled_tokens(
        &mut self,
        worker: WorkerId,
        tokens: Option<u64>,
    ) -> Result<(), RouteError> {
        let view = self.view_mut(worker)?;
        *view = view.with_polled_tokens(tokens);
        Ok(())
    }

    /// Adds a healthy worker without load, unless it is there already.
    pub fn add_worker(&mut self, worker: WorkerId) {
        self.positions.entry(worker).or_insert_with(|| {
            self.workers.push(WorkerView::new(worker));
            self.workers.len() - 1
        });
    }

    /// Takes `worker` out of the pool; the others keep their order.
    ///
    /// # Errors
    ///
    /// [`RouteError::UnknownWorker`] if it is not in the pool.
    pub fn remove_worker(&mut self, worker: WorkerId) -> Result<(), RouteError> {
        let position = self.position(worker)?;
        self.workers.remove(position);
        self.positions =
            self.workers.iter().enumerate().map(|(at, view)| (view.id(), at)).collect();
        self.policy.on_removed(worker);
        Ok(())
    }

    /// The position that the policy chooses, checked; nothing is counted.
    pub(crate) fn choose(&mut self, request: &RouteRequest<'_>) -> Result<usize, RouteError> {
        let position = self.policy.route(request, &self.workers)?;
        if self.workers.get(position).is_some_and(WorkerView::is_healthy) {
            return Ok(position);
        }
        Err(RouteError::InvalidChoice {
            policy: self.policy.name().to_owned(),
            position,
            workers: self.workers.len(),
        })
    }

    /// Counts a request as in flight at the worker of `position`.
    pub(crate) fn begin(&mut self, position: usize) -> WorkerId {
        let view = &mut self.workers[position];
        *view = view.with_in_flight(view.in_flight() + 1);
        view.id()
    }

    fn position(&self, worker: WorkerId) -> Result<usize, RouteError> {
        let workers = self.workers.len();
        self.positions.get(&worker).copied().ok_or(RouteError::UnknownWorker { worker, workers })
    }

    fn view_mut(&mut self, worker: WorkerId) -> Result<&mut WorkerView, RouteError> {
        let position = self.position(worker)?;
        Ok(&mut self.workers[position])
    }
}
