//! What can go wrong when a batch is formed.

use sglsim_units::{RequestId, TokenCount};

use crate::ForwardMode;

/// A request or a decision was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchedError {
    /// A setting is out of range.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    Config {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: String,
    },
    /// A prompt without tokens has nothing to compute.
    #[error("the prompt of request {request} has no tokens, allowed is at least 1")]
    EmptyPrompt {
        /// The request.
        request: RequestId,
    },
    /// A scheduler chose a step that does not fit the batch it formed.
    #[error(
        "step {mode:?} was chosen with {extending} requests in the extend batch and {running} \
         running; Extend needs an extend batch, Decode a running batch and no extend batch, Mixed both, \
         Idle no extend batch"
    )]
    WrongMode {
        /// The step.
        mode: ForwardMode,
        /// Requests in the extend batch.
        extending: usize,
        /// Requests in the running batch.
        running: usize,
    },
    /// A prompt can never be scheduled on this worker.
    #[error(
        "the prompt of request {request} has {tokens} tokens, allowed are at most {allowed} \
         (context length {context_length}, KV pool {pool} tokens)"
    )]
    PromptTooLong {
        /// The request.
        request: RequestId,
        /// Tokens of its prompt.
        tokens: TokenCount,
        /// Most tokens a prompt may have here.
        allowed: TokenCount,
        /// Context length of the model.
        context_length: TokenCount,
        /// KV slots of the rank.
        pool: TokenCount,
    },
    /// The waiting queue is full.
    #[error("request {request} cannot wait: `max_queued_requests` is {limit}, and so many do")]
    QueueFull {
        /// The request.
        request: RequestId,
        /// Most requests that may wait.
        limit: u32,
    },
    /// A scheduler admitted more tokens than there is memory for.
    #[error(
        "request {request} cannot be admitted: it needs {needed} KV slots, {available} are free or evictable"
    )]
    OutOfMemory {
        /// The request.
        request: RequestId,
        /// Slots it asked for \[token\].
        needed: TokenCount,
        /// Slots there are \[token\].
        available: TokenCount,
    },
    /// A scheduler gave a request a slice that makes no sense.
    #[error(
        "request {request} cannot be extended by {extend} tokens: {rest} remain, and a slice that \
         leaves a remainder must end on a page of {page_size}"
    )]
    BadSlice {
        /// The request.
        request: RequestId,
        /// The slice \[token\].
        extend: TokenCount,
        /// Tokens not computed yet \[token\].
        rest: TokenCount,
        /// The page size \[token\].
        page_size: u32,
    },
    /// A scheduler cut a second prompt while another one was being chunked.
    #[error(
        "request {request} cannot be cut: request {chunked} is being chunked, and only one may be"
    )]
    SecondChunk {
        /// The request.
        request: RequestId,
        /// The request that is being chunked.
        chunked: RequestId,
    },
    /// A scheduler took a request into a batch twice, or one that was not waiting.
    #[error("request {request} is {state} and cannot be {wanted}")]
    WrongState {
        /// The request.
        request: RequestId,
        /// Where it is.
        state: &'static str,
        /// What was asked of it.
        wanted: &'static str,
    },
    /// Every row is taken.
    #[error(
        "request {request} cannot be admitted: {running} requests hold a row, \
         `max_running_requests` is {allowed}"
    )]
    NoRow {
        /// The request.
        request: RequestId,
        /// Requests that hold a row.
        running: usize,
        /// Most that may.
        allowed: u32,
    },
    /// The one request left in the batch cannot take its next token.
    #[error(
        "request {request} cannot decode: it holds {held} tokens, the pool has {pool} and nothing \
         is left to retract or evict"
    )]
    Stuck {
        /// The request.
        request: RequestId,
        /// Tokens it holds.
        held: TokenCount,
        /// KV slots of the rank.
        pool: TokenCount,
    },
}
