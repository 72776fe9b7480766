//! Observers that the tests share, among them the expansion of a run into every single token.

use std::sync::{Arc, Mutex};

use sglsim_engine::{Event, Observer, RequestId, SimTime, WorkerId};

/// An observer that can still be asked after the run.
#[derive(Debug, Default)]
pub(crate) struct Shared<T>(Arc<Mutex<T>>);

impl<T: Observer + Default + 'static> Shared<T> {
    pub(crate) fn new(state: T) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn watch(&self) -> Box<dyn Observer> {
        Box::new(Self(Arc::clone(&self.0)))
    }

    pub(crate) fn take(&self) -> T {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl<T: Observer> Observer for Shared<T> {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        self.0.lock().unwrap().on_event(at, event);
    }
}

/// Requests, each with the first decode step in which it takes part.
type Batch = Vec<(RequestId, u64)>;

/// When each token of each request reached the client, by the recipe in the docs of [`Observer`].
#[derive(Debug, Default)]
pub(crate) struct TokenTimes {
    /// Whether tokens come several at a time.
    speculates: bool,
    /// \[s\], by request.
    pub(crate) times: Vec<Vec<f64>>,
    /// Who decodes in the batch of a rank, and from which step on.
    batches: Vec<((WorkerId, usize), Batch)>,
}

impl TokenTimes {
    fn batch(&mut self, worker: WorkerId, rank: usize) -> &mut Batch {
        let place = (worker, rank);
        let found = self.batches.iter().position(|(known, _)| *known == place);
        let at = found.unwrap_or_else(|| {
            self.batches.push((place, Vec::new()));
            self.batches.len() - 1
        });
        &mut self.batches[at].1
    }

    /// Gaps between the tokens of all requests \[s\].
    pub(crate) fn gaps(&self) -> Vec<f64> {
        self.times.iter().flat_map(|times| times.windows(2).map(|two| two[1] - two[0])).collect()
    }
}

impl Observer for TokenTimes {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        match *event {
            Event::Arrived { .. } => self.times.push(Vec::new()),
            Event::Token { id, worker, rank, decodes_from } => {
                self.times[id.index()].push(at.seconds());
                self.batch(worker, rank).push((id, decodes_from));
            }
            Event::Resumed { id, worker, rank, decodes_from } => {
                self.batch(worker, rank).push((id, decodes_from));
            }
            Event::WorkerDown { worker } => self.batches.retain(|((of, _), _)| *of != worker),
            Event::Retracted { id, worker, rank }
            | Event::Left { id, worker, rank }
            | Event::Finished { id, worker, rank, .. } => {
                self.batch(worker, rank).retain(|(member, _)| *member != id);
            }
            Event::Accepted { id, tokens, .. } => {
                let times = &mut self.times[id.index()];
                times.extend((0..tokens).map(|_| at.seconds()));
                self.speculates = true;
            }
            Event::RankStep { worker, rank, result, .. }
                if result.mode.decodes() && result.verified == 0 && !self.speculates =>
            {
                let mut batch = self.batch(worker, rank).clone();
                batch.retain(|(_, from)| *from <= result.decode_step);
                assert_eq!(batch.len() as u64, result.decoded, "who decodes is who was told to");
                for (id, _) in batch {
                    self.times[id.index()].push(at.seconds());
                }
            }
            _ => {}
        }
    }
}

/// Order of the events, in words.
#[derive(Debug, Default)]
pub(crate) struct Log(pub(crate) Vec<String>);

impl Observer for Log {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        let text = format!("{event:?}");
        let kind = text.split([' ', '{']).next().unwrap_or_default();
        self.0.push(format!("{at} {kind}"));
    }
}
