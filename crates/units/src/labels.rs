//! What a request says of itself beside its tokens.

/// Namespace, priority and routing key of a request; none of it is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Requests of different namespaces share no prefix (SGLang's `extra_key`: LoRA adapter, cache
    /// salt).
    pub namespace: u32,
    /// How urgent it is; larger is more urgent unless the rank is told otherwise. Orders queues only
    /// where priorities are switched on; the prefix cache may rank by it anywhere.
    pub priority: Option<i64>,
    /// Requests of one key are kept together by the queue order `routing-key`.
    pub routing_key: Option<u32>,
}
