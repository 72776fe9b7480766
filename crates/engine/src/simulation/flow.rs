//! KV on its way from prefill to decode workers.

use sglsim_units::{RequestId, Seconds, TokenCount};

use super::{Place, Run};
use crate::error::EngineError;
use crate::fabric::Flow;
use crate::observer::Event;

impl Run<'_> {
    /// Hands the KV of some tokens of a request to the fabric.
    pub(super) fn send(&mut self, id: RequestId, tokens: TokenCount) -> Result<(), EngineError> {
        let now = self.now;
        let transfer = self.transfer.as_mut().expect("a prefill worker has a transfer law");
        let cost = transfer.cost(tokens);
        let seconds = |seconds| {
            Seconds::new(seconds).map_err(|_| EngineError::BadTransfer { at: now, seconds, tokens })
        };
        let (alone, streaming) = (seconds(cost.seconds)?, seconds(cost.streaming)?);
        let bytes = cost.bytes;
        let live = self.live.get(id);
        let piece = live.pieces;
        live.pieces += 1;
        live.flows += 1;
        let [from, to] = [live.prefill, live.decode].map(Place::port);
        self.emit(&Event::Sent { id, tokens, alone });
        self.under_way += 1;
        self.fabric
            .submit(now, Flow { request: id, piece, from, to, tokens, bytes, alone, streaming });
        Ok(())
    }

    /// A flow has arrived. With the last one, the request leaves the prefill worker and is ready on
    /// the decode worker.
    pub(super) fn delivery(&mut self) -> Result<(), EngineError> {
        let now = self.now;
        let Some(delivery) = self.fabric.pop() else {
            // Links are shared in another way from now on. At one instant, those under way can bring that
            // about only so often.
            let (at, times) = self.turns;
            self.turns = (now, if at == now { times + 1 } else { 1 });
            if self.turns.1 > 4 * self.under_way {
                return Err(self.fabric_error("FABRIC-3 `pop` gives what `peek` announced"));
            }
            return Ok(());
        };
        let id = delivery.flow.request;
        if self.cancelled.get(&id).is_some_and(|wanted| delivery.flow.piece < *wanted) {
            return Ok(());
        }
        if self.live.find(id).is_none_or(|live| live.flows == 0) {
            return Err(self.fabric_error("FABRIC-1 every flow arrives, exactly once"));
        }
        self.under_way = self.under_way.saturating_sub(1);
        let took = delivery.arrived.since(delivery.submitted);
        self.emit(&Event::Delivered { id, tokens: delivery.flow.tokens, took });
        let live = self.live.get(id);
        live.flows -= 1;
        if live.flows > 0 || !live.all_sent {
            return Ok(());
        }
        let (prefill, decode) = (live.prefill, live.decode);
        live.prefill.slot = None;
        self.emit(&Event::Transferred { id });
        let slot = prefill.slot.expect("a request that sends has a place");
        let sent = self.batch(prefill).finish_send(slot);
        sent.map_err(|source| self.worker_error(prefill.worker, source))?;
        self.tell_memory(prefill.worker, prefill.rank);
        let slot = decode.slot.expect("a request that is sent has a place to go to");
        let received = self.batch(decode).finish_receive(slot);
        received.map_err(|source| self.worker_error(decode.worker, source))?;
        self.wake(prefill.worker);
        self.wake(decode.worker);
        Ok(())
    }

    fn fabric_error(&self, law: &'static str) -> EngineError {
        let plugin = format!("fabric `{}`", self.fabric.name());
        EngineError::BrokenLaw { at: self.now, plugin, law }
    }
}
