//! One pool: a policy, its workers, and what is in flight.

use sglsim_units::{HashMap, SimTime, WorkerId};

use crate::{
    CircuitBreaker, CircuitBreakerConfig, RouteError, RoutePolicy, RouteRequest, RoutingKey,
    WorkerView,
};

/// A policy over one pool of workers, with what the router itself knows of them: what is in flight,
/// who is healthy, and a circuit breaker each.
#[derive(Debug)]
pub struct Router {
    policy: Box<dyn RoutePolicy>,
    workers: Vec<Member>,
    positions: HashMap<WorkerId, usize>,
    breakers: CircuitBreakerConfig,
    counts_load: bool,
    /// Requests in flight by worker and routing key.
    keys: HashMap<(WorkerId, RoutingKey), u32>,
    /// What the policy is shown: those that may be chosen.
    available: Vec<WorkerView>,
}

/// A worker of the pool.
#[derive(Clone, Copy, Debug)]
struct Member {
    view: WorkerView,
    is_healthy: bool,
    in_flight: u32,
    breaker: CircuitBreaker,
}

/// The end of a response, or of a failed attempt to get one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// Whose.
    pub worker: WorkerId,
    /// The routing key of its request.
    pub routing_key: Option<RoutingKey>,
    /// How it ended.
    pub outcome: Outcome,
    /// When \[s\].
    pub at: SimTime,
}

/// How a response ended, as a circuit breaker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With status 2xx.
    Success,
    /// With another status, or without an answer.
    Failure,
    /// The client went away: the breaker learns nothing.
    Abandoned,
}

impl Router {
    /// A router over healthy workers without load. A worker named twice is in the pool once.
    #[must_use]
    pub fn new(policy: Box<dyn RoutePolicy>, workers: impl IntoIterator<Item = WorkerId>) -> Self {
        let mut router = Self {
            policy,
            workers: Vec::new(),
            positions: HashMap::default(),
            breakers: CircuitBreakerConfig::default(),
            counts_load: true,
            keys: HashMap::default(),
            available: Vec::new(),
        };
        for worker in workers {
            router.add_worker(worker);
        }
        router
    }

    /// The same router whose policy sees no load, as sglang-router's does for some policies
    /// ([`PolicyConfig::is_load_counted`](crate::PolicyConfig::is_load_counted)).
    #[must_use]
    pub fn without_load(self) -> Self {
        Self { counts_load: false, ..self }
    }

    /// The same router with other circuit breakers, all closed.
    #[must_use]
    pub fn with_circuit_breakers(mut self, config: CircuitBreakerConfig) -> Self {
        self.breakers = config;
        for member in &mut self.workers {
            member.breaker = CircuitBreaker::new(config);
        }
        self
    }

    /// Name of the policy.
    #[must_use]
    pub fn policy_name(&self) -> &str {
        self.policy.name()
    }

    /// The workers and how many requests each has in flight, in the order in which they came.
    pub fn in_flight(&self) -> impl Iterator<Item = (WorkerId, u32)> + '_ {
        self.workers.iter().map(|member| (member.view.id(), member.in_flight))
    }

    /// The load of a worker as the policy sees it; 0 if it is not in the pool.
    #[must_use]
    pub fn load(&self, worker: WorkerId) -> u32 {
        self.position(worker).map_or(0, |at| self.workers[at].view.in_flight())
    }

    /// Chooses a worker and counts the request as in flight there.
    ///
    /// # Errors
    ///
    /// [`RouteError::NoWorkers`], [`RouteError::NoAvailableWorker`], those of the policy, and
    /// [`RouteError::InvalidChoice`] if it breaks its laws.
    pub fn route(&mut self, request: &RouteRequest<'_>) -> Result<WorkerId, RouteError> {
        let worker = self.choose(request)?;
        self.begin(worker, request.routing_key());
        Ok(worker)
    }

    /// Notes that a response has ended.
    ///
    /// # Errors
    ///
    /// [`RouteError::UnknownWorker`] if its worker is not in the pool.
    ///
    /// # Panics
    ///
    /// If nothing is in flight there: a response ended twice.
    pub fn finished(&mut self, response: &Response) -> Result<(), RouteError> {
        let Response { worker, routing_key, outcome, at } = *response;
        let counts_load = self.counts_load;
        let member = self.member_mut(worker)?;
        member.in_flight = member.in_flight.checked_sub(1).expect("a response ends once");
        match outcome {
            Outcome::Success => member.breaker.record(true, at),
            Outcome::Failure => member.breaker.record(false, at),
            Outcome::Abandoned => {}
        }
        if counts_load {
            member.view = member.view.with_in_flight(member.in_flight);
            if let Some(key) = routing_key {
                self.end_key(worker, key);
            }
        }
        self.policy.on_finished(worker);
        Ok(())
    }

    /// Notes that `worker` may be chosen, or not, from now on.
    ///
    /// # Errors
    ///
    /// [`RouteError::UnknownWorker`] if it is not in the pool.
    pub fn set_health(&mut self, worker: WorkerId, is_healthy: bool) -> Result<(), RouteError> {
        self.member_mut(worker)?.is_healthy = is_healthy;
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
        let member = self.member_mut(worker)?;
        member.view = member.view.with_polled_tokens(tokens);
        Ok(())
    }

    /// Adds a healthy worker without load, unless it is there already.
    pub fn add_worker(&mut self, worker: WorkerId) {
        if self.positions.contains_key(&worker) {
            return;
        }
        self.positions.insert(worker, self.workers.len());
        self.workers.push(Member {
            view: WorkerView::new(worker),
            is_healthy: true,
            in_flight: 0,
            breaker: CircuitBreaker::new(self.breakers),
        });
        self.policy.on_added(worker);
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
            self.workers.iter().enumerate().map(|(at, member)| (member.view.id(), at)).collect();
        self.keys.retain(|(of, _), _| *of != worker);
        self.policy.on_removed(worker);
        Ok(())
    }

    /// The worker that the policy chooses, checked; nothing is counted.
    pub(crate) fn choose(&mut self, request: &RouteRequest<'_>) -> Result<WorkerId, RouteError> {
        self.available.clear();
        for member in &mut self.workers {
            if member.is_healthy && member.breaker.allows(request.now()) {
                self.available.push(member.view);
            }
        }
        if self.available.is_empty() {
            let policy = self.policy.name().to_owned();
            return Err(match self.workers.len() {
                0 => RouteError::NoWorkers { policy },
                workers => RouteError::NoAvailableWorker { policy, workers },
            });
        }
        let position = self.policy.route(request, &self.available)?;
        self.available.get(position).map(WorkerView::id).ok_or_else(|| RouteError::InvalidChoice {
            policy: self.policy.name().to_owned(),
            position,
            workers: self.available.len(),
        })
    }

    /// Counts a request as in flight at `worker`, which is in the pool.
    pub(crate) fn begin(&mut self, worker: WorkerId, key: Option<RoutingKey>) {
        let member = &mut self.workers[self.positions[&worker]];
        member.in_flight += 1;
        if !self.counts_load {
            return;
        }
        let mut view = member.view.with_in_flight(member.in_flight);
        if let Some(key) = key {
            let requests = self.keys.entry((worker, key)).or_default();
            *requests += 1;
            if *requests == 1 {
                view = view.with_keys_in_flight(view.keys_in_flight() + 1);
            }
        }
        member.view = view;
    }

    fn end_key(&mut self, worker: WorkerId, key: RoutingKey) {
        let requests = self.keys.get_mut(&(worker, key)).expect("its begin was counted");
        *requests -= 1;
        if *requests == 0 {
            self.keys.remove(&(worker, key));
            let view = &mut self.workers[self.positions[&worker]].view;
            *view = view.with_keys_in_flight(view.keys_in_flight() - 1);
        }
    }

    fn position(&self, worker: WorkerId) -> Result<usize, RouteError> {
        let workers = self.workers.len();
        self.positions.get(&worker).copied().ok_or(RouteError::UnknownWorker { worker, workers })
    }

    fn member_mut(&mut self, worker: WorkerId) -> Result<&mut Member, RouteError> {
        let position = self.position(worker)?;
        Ok(&mut self.workers[position])
    }
}
