//! A request, the end of a request, and the trait of whoever decides what arrives when.

use std::fmt;

use sglsim_radix::Prompt;
use sglsim_units::{Labels, RequestId, SimTime};

/// One request as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number, from 0 in order of arrival.
    pub id: RequestId,
    /// When the client sends it \[s\].
    pub arrival: SimTime,
    /// The prompt, at least one token.
    pub prompt: Prompt,
    /// Tokens the model will really generate, at least 1. Known to the engine only: neither a
    /// scheduler nor a router may see it.
    pub output_len: u32,
    /// Limit on the generated tokens that the client asks for, at least `output_len`. This is what
    /// a scheduler may see.
    pub max_new_tokens: u32,
    /// Whether generation goes on to `max_new_tokens` regardless of an end-of-sequence token.
    pub ignore_eos: bool,
    /// Namespace, priority, routing key.
    pub labels: Labels,
}

/// The end of a request, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which request.
    pub id: RequestId,
    /// When its last token arrived, or when it was refused or aborted \[s\].
    pub at: SimTime,
    /// Tokens it really got: `Request::output_len`, or fewer if it was refused or aborted.
    pub output_len: u32,
}

/// Decides what arrives, and when: a trace, an open or closed loop, conversations.
///
/// # Implementing
///
/// *Observes* the end of each request ([`Workload::on_finished`]); *controls* the arrivals; *owns*
/// its random streams and its state.
///
/// The caller takes a request ([`pop`](Workload::pop)) when its clock has reached
/// [`peek`](Workload::peek), or later if it holds requests back as [`MaxConcurrency`] does. It
/// reports each end once, in order of time, and asks `peek` again after each `pop` and each
/// `on_finished`.
///
/// [`MaxConcurrency`]: crate::MaxConcurrency
///
/// Laws, checked by `testing::conformance`:
///
/// 1. `peek` changes nothing, and the next `pop` returns a request of exactly that arrival time;
///    where `peek` is `None`, so is `pop`.
/// 2. Arrivals never go back in time, and an end at *t* releases nothing before *t*.
/// 3. Ids are 0, 1, 2, … in order of popping.
/// 4. A prompt has at least one token and no empty span, `1 <= output_len <= max_new_tokens`.
/// 5. If `total` is known, exactly so many requests come, provided that each one taken is finished.
/// 6. The same construction, treated in the same way, gives the same requests.
/// 7. What `released_by` names has ended, no later than the time that `peek` announces.
pub trait Workload: fmt::Debug + Send {
    /// Name in reports, such as the file name of a trace.
    fn name(&self) -> &str;

    /// How many requests there will be in all, if that is known before the end.
    fn total(&self) -> Option<u64>;

    /// Time of the next arrival that is already decided. `None` says that nothing more comes, or
    /// that it waits for the end of a running request.
    fn peek(&self) -> Option<SimTime>;

    /// Takes the request that [`peek`](Workload::peek) announced.
    fn pop(&mut self) -> Option<Request>;

    /// The request whose end decided the time that [`peek`](Workload::peek) announces: the turn before,
    /// or the one that a user or a limit on the requests in flight waited for. `None` if that time
    /// depends on no end, which is also the default.
    ///
    /// A formula of a run follows it: arrivals that wait for an end move with it.
    fn released_by(&self) -> Option<RequestId> {
        None
    }

    /// A request has left the system: closed loops and conversations decide their next one here.
    /// Does nothing by default.
    fn on_finished(&mut self, _done: &Finished) {}
}
